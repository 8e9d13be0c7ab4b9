"""Class-incremental tasks of any labelled data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.errors import did_you_mean
from contrast_core.interfaces import Data
from contrast_core.tasks import Task, Tasks


@final
class ClassTasks(Tasks):
    """Some classes each: classes 0 ... C-1 in an order, cut into consecutive tasks; or tasks of named classes.

    An item without a label is in no task. A class that comes in several tasks is trained on in all of them: its
    training items are dealt out to them in turn; each of these tasks is evaluated on all of the class's test items.

    Args:
        sizes: how many classes each task has; they add up to C.
        grouped: a mark such as "_", up to which a class's name says its group: groups, whose classes stay together, are
            then ordered and counted in place of classes. "email_send" and "email_query" are of the group "email".
        named: the classes of each task by name, in place of `sizes`; not all need to come, and one may come back.
        order: of the classes or groups: "drawn" from the seed, or "sorted" as the data number them.
        seed: of the drawn order.
        items: "train" trains on those training items that are in the train part of the data's first split, so that no
            item is kept or trained on that evaluation tests; "all" on all training items, as without splits.
        restart, measure: see `contrast_core.tasks.Tasks`.

    Raises:
        ValueError: if neither or both of sizes and named are given, or a task is empty; in use, if the data have no
            labels, the sizes do not add up, or a class is unknown or has too few training items.

    The protocol is that of iCaRL (Rebuffi et al., CVPR 2017, arXiv 1611.07725), whose classes never come back.
    """

    def __init__(
        self,
        sizes: Sequence[int] = (),
        named: Sequence[Sequence[str]] = (),
        order: Literal["drawn", "sorted"] = "drawn",
        seed: int = 0,
        items: Literal["train", "all"] = "train",
        grouped: str = "",
        restart: bool = True,
        measure: Sequence[str] = (),
    ):
        super().__init__(restart, measure)
        if bool(sizes) == bool(named):
            raise ValueError(
                "Give either sizes = [2, 2, ...], how many classes each task has, or named = [[...], ...]."
            )
        if min(sizes, default=1) < 1 or not all(named):
            raise ValueError("Every task needs at least one class.")
        self.sizes, self.named = tuple(sizes), tuple(tuple(each) for each in named)
        if grouped and named:
            raise ValueError("grouped goes with sizes; a task of named classes has those that are named.")
        self.order, self.seed, self.items, self.grouped = order, seed, items, grouped

    def of(self, data: Data) -> Sequence[Task]:
        """The tasks, named by their classes."""
        labels = data.labels
        if labels is None or not bool((labels >= 0).any()):
            raise ValueError("Tasks of classes need labels, and these data have none.")
        count = max(len(data.classes), int(labels.max()) + 1)
        names = [*data.classes, *(str(label) for label in range(len(data.classes), count))]
        tasks = self._by_name(names) if self.named else self._by_size(names)
        train = self._training(data)
        dealt: list[list[Tensor]] = [[] for _ in tasks]
        for label in sorted({label for own in tasks for label in own}):
            having = [task for task, own in enumerate(tasks) if label in own]
            own_items = train[labels[train] == label]
            if len(own_items) < len(having):
                have = f"has {len(own_items)} training item(s)"
                raise ValueError(f"The class '{names[label]}' comes in {len(having)} task(s), but {have}.")
            for turn, task in enumerate(having):
                dealt[task].append(own_items[turn :: len(having)])
        return [
            Task(
                ", ".join(names[label] for label in own),
                torch.cat(parts).sort().values,
                torch.isin(labels, torch.tensor(own)).nonzero()[:, 0],
            )
            for own, parts in zip(tasks, dealt, strict=True)
        ]

    def _training(self, data: Data) -> Tensor:
        train = torch.arange(len(data)) if data.training_items is None else data.training_items
        split = next(iter(data.splits.values()), None)
        return train if split is None or self.items == "all" else train[torch.isin(train, split.train)]

    def _by_size(self, names: Sequence[str]) -> list[list[int]]:
        groups: dict[str | int, list[int]] = {}
        for label, name in enumerate(names):
            groups.setdefault(name.partition(self.grouped)[0] if self.grouped else label, []).append(label)
        own, count = list(groups.values()), len(groups)
        if sum(self.sizes) != count:
            what = f"groups of classes ({', '.join(map(str, groups))})" if self.grouped else "classes"
            raise ValueError(f"sizes = {list(self.sizes)} add up to {sum(self.sizes)}, but there are {count} {what}.")
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(count, generator=generator) if self.order == "drawn" else torch.arange(count)
        return [[label for group in part.tolist() for label in own[group]] for part in order.split(list(self.sizes))]

    def _by_name(self, names: Sequence[str]) -> list[list[int]]:
        number = {name: label for label, name in enumerate(names)}
        for name in (name for task in self.named for name in task):
            if name not in number:
                hint = did_you_mean(name, names) or f" There are: {', '.join(names[:20])}."
                raise ValueError(f"The data have no class '{name}'.{hint}")
        return [list(dict.fromkeys(number[name] for name in task)) for task in self.named]
