"""A class-incremental sequence of tasks: which classes come when, which items belong to a task, which are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor

Rehearsal = int | Literal["append"]


def drawn_classes(count: int, sizes: Sequence[int], seed: int | None) -> list[list[int]]:
    """The classes 0..count-1, in an order drawn from the seed if there is one, cut into tasks of the given sizes.

    Raises:
        ValueError: if the sizes do not add up to the number of classes, or one is less than 1.
    """
    if min(sizes, default=0) < 1 or sum(sizes) != count:
        raise ValueError(f"tasks = {list(sizes)} must be positive numbers that add up to the {count} there are.")
    order = list(range(count))
    if seed is not None:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    found, start = [], 0
    for size in sizes:
        found.append(order[start : start + size])
        start += size
    return found


@final
class Tasks:
    """Items by task, and the memory that rehearsal draws from.

    A class may come back in a later task: its training items are then dealt out in turn to the tasks that have it. A
    class counts as new, in evaluation and for the memory, in the first of them.

    Args:
        classes: the classes of each task.
        labels: of all items, (n,) int64.
        train: numbers of the training items, (m,) int64.
        kept: exemplars a class.
        seed: of the random choice of exemplars, made once a class.

    Raises:
        ValueError: if a class of a task has no training item for it.
    """

    def __init__(self, classes: Sequence[Sequence[int]], labels: Tensor, train: Tensor, kept: int, seed: int):
        self.classes = [list(each) for each in classes]
        first = torch.full((int(labels.max()) + 1,), -1)
        for task, own in reversed(list(enumerate(self.classes))):
            first[own] = task
        self.of_item = first[labels].clone()
        """The task of each item, (n,); of an evaluation item that of its class, -1 if no task has it."""
        exemplars: list[Tensor] = []
        for label in sorted({label for own in self.classes for label in own}):
            tasks = [task for task, own in enumerate(self.classes) if label in own]
            items = train[labels[train] == label]
            if len(items) < len(tasks):
                raise ValueError(f"class {label} comes in {len(tasks)} task(s), but has {len(items)} training items.")
            for turn, task in enumerate(tasks):
                self.of_item[items[turn :: len(tasks)]] = task
            offered = items[:: len(tasks)]
            generator = torch.Generator().manual_seed(1_000_003 * seed + label)
            exemplars.append(offered[torch.randperm(len(offered), generator=generator)[:kept]].sort().values)
        self._train = train[self.of_item[train] >= 0]
        self._exemplars = torch.cat(exemplars)

    def __len__(self) -> int:
        return len(self.classes)

    def items(self, task: int) -> Tensor:
        """Training items of a task."""
        return self._train[self.of_item[self._train] == task]

    def memory(self, task: int) -> Tensor:
        """Exemplars of the tasks before."""
        return self._exemplars[self.of_item[self._exemplars] < task]

    def past_share(self, task: int) -> float:
        """L_p / (L_p + L_n): how many classes came in earlier tasks, over all up to this one."""
        past = {label for own in self.classes[:task] for label in own}
        return len(past) / len(past | set(self.classes[task]))

    def batches(self, size: int, epochs: int, rehearsal: Rehearsal, generator: torch.Generator) -> list[Tensor]:
        """The batches of all tasks, one task after the other, each `epochs` times.

        With a number, so many items of the memory join the `size` new ones of each batch. With "append" the memory is
        shuffled among the task's items, and a batch without a new item gets one more.
        """
        found: list[Tensor] = []
        for task in range(len(self)):
            own, memory = self.items(task), self.memory(task)
            for _ in range(epochs):
                if rehearsal == "append":
                    mixed = torch.cat([own, memory])
                    # A new item begins each batch: how many batches there are must not depend on the draw.
                    found += _begun(mixed[torch.randperm(len(mixed), generator=generator)], own, size, generator)
                    continue
                for batch in own[torch.randperm(len(own), generator=generator)].split(size):
                    some = memory[torch.randperm(len(memory), generator=generator)[:rehearsal]]
                    found.append(torch.cat([batch, some]))
        return found


def _begun(mixed: Tensor, own: Tensor, size: int, generator: torch.Generator) -> list[Tensor]:
    """Batches of the mixed items; one that lacks an item of the task itself gets one more."""
    is_own = torch.isin(mixed, own)
    found = []
    for batch, fresh in zip(mixed.split(size), is_own.split(size), strict=True):
        more = own[torch.randint(len(own), (1,), generator=generator)]
        found.append(batch if bool(fresh.any()) else torch.cat([more, batch]))
    return found
