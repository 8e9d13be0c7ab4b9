"""The legs of a training: one over all data, or one a task, with the items that rehearsal adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.compose import Composition
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data, Flow
from contrast_core.plan import Training
from contrast_core.tasks import IN_BATCHES, REHEARSED, Rehearsal, Task
from contrast_core.training.loader import batches_per_epoch, training_items


@frozen(eq=False)
class Leg:
    """A part of a training.

    Args:
        data: what batches are drawn from.
        first: steps of the training before this leg; epochs: epochs before it.
        per_epoch: steps of an epoch; steps: of the leg.
        task: the task that is trained, if there are tasks.
    """

    data: Data
    first: int
    epochs: int
    per_epoch: int
    steps: int
    task: Task | None = None

    @property
    def end(self) -> int:
        """Steps of the training up to its end."""
        return self.first + self.steps


@final
class InTask(Data):
    """The items of one task, in whose batches rehearsal joins.

    A batch also says `rehearsal` (B,), `task`, its number from 0, and `past_share`, the share of classes of earlier
    tasks among those of all tasks so far.

    Args:
        data: the data set.
        tasks, number: all tasks, and which of them this is.
        rehearsal: the store, read whenever an epoch begins.
        least: smaller batches of new items are left out.
    """

    def __init__(
        self, data: Data, tasks: Sequence[Task], number: int, rehearsal: Rehearsal | None = None, least: int = 2
    ):
        self.data, self.task, self.number, self.count = data, tasks[number], number, len(tasks)
        self.rehearsal, self.least = rehearsal, least
        self.gives = (*data.gives, *IN_BATCHES)
        self.past_share = torch.tensor(_past_share(data.labels, tasks[: number + 1]))

    def load(self) -> None:
        """It is loaded."""

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, items: Tensor) -> Flow:
        """The data's batch, and which of its items are of earlier tasks."""
        again = (~torch.isin(items, self.task.items)).long()
        batch = self.data.batch(items)
        return {**batch, REHEARSED: again, "task": torch.tensor(self.number), "past_share": self.past_share}

    @property
    def training_items(self) -> Tensor:
        """The task's."""
        return self.task.items

    def drawn(self, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
        """The task's items in random order, cut into batches, each joined by items of the store."""
        own = self.task.items[torch.randperm(len(self.task.items), generator=generator)]
        kept = self.rehearsal.kept() if self.rehearsal is not None else own[:0]
        # A kept item that belongs to this task too is new, and comes as such.
        kept = kept[~torch.isin(kept, self.task.items)]
        most = self.rehearsal.in_batch if self.rehearsal is not None else 0
        fresh = [new for new in own.split(batch_size) if len(new) >= self.least]
        if most == "once":
            mixed = torch.cat([own, kept])
            # As many batches as without: their number must not depend on what was kept.
            return mixed[torch.randperm(len(mixed), generator=generator)].tensor_split(max(1, len(fresh)))
        return [torch.cat([new, kept[torch.randperm(len(kept), generator=generator)[:most]]]) for new in fresh]

    def told(self, batch: Flow) -> str:
        """The task's number."""
        return f"task {self.number + 1}/{self.count}"

    @property
    def labels(self) -> Tensor | None:
        """The data's."""
        return self.data.labels


def _past_share(labels: Tensor | None, tasks: Sequence[Task]) -> float:
    if labels is None:
        return 0.0
    *earlier, now = [set(labels[task.items].tolist()) for task in tasks]
    past = set[int]().union(*earlier)
    return len(past) / len(past | now)


def tasks_of(composition: Composition) -> Sequence[Task]:
    """The tasks of a composition whose data are loaded; none if the recipe has no section [tasks].

    Raises:
        ContrastError: if these data can't be cut into them, a task is empty or can't be evaluated.
    """
    if composition.tasks is None:
        return ()
    data, where = composition.data, f"{composition.recipe.source.where('tasks')}: [tasks]"
    if data.whole or data.drawn(2, torch.Generator()) is not None:
        what = "are one whole" if data.whole else "draw batches in an order of their own"
        raise ContrastError(f"{where} The data {what}: they can't be cut into tasks.")
    try:
        tasks = composition.tasks.of(data)
    except ValueError as error:
        raise ContrastError(f"{where} {error}") from error
    if len(tasks) < 2:
        raise ContrastError(f"{where} There are {len(tasks)} task(s); a sequence has at least two.")
    for number, task in enumerate(tasks, 1):
        if len(task.items) < 2:
            raise ContrastError(
                f"{where} Task {number} ({task.name}) has {len(task.items)} item(s) to train on: too few."
            )
        if not composition.evaluators or not data.splits:
            continue
        if not any(bool(torch.isin(split.test, task.members).any()) for split in data.splits.values()):
            raise ContrastError(f"{where} Task {number} ({task.name}) has no test item in any split of the data.")
    if composition.evaluators and data.labels is not None and len(data.labels[tasks[0].members].unique()) < 2:
        raise ContrastError(f"{where} The first task ({tasks[0].name}) has one class only: nothing can be evaluated "
                            "after it. Give it two or more.")  # fmt: skip
    return tasks


def begin_rehearsal(composition: Composition, tasks: Sequence[Task]) -> None:
    """Make room in the store for the classes of the tasks."""
    store, labels = composition.pipeline.rehearsal, composition.data.labels
    if store is None or not tasks:
        return
    items = torch.cat([task.items for task in tasks])
    classes = 1 if labels is None else len(labels[items].unique())
    try:
        store.begin(len(composition.data), classes, len(items))
    except ValueError as error:
        raise ContrastError(f"{composition.recipe.source.where('rehearsal')}: [rehearsal] {error}") from error


def beginning_of(data: Data, tasks: Sequence[Task]) -> Data:
    """What the first batches are drawn from."""
    return InTask(data, tasks, 0) if tasks else data


def marked(batch: Flow, again: Tensor | None = None) -> Flow:
    """A batch of data without tasks, with what a batch of the first task has more.

    Or of the second of two alike: `again` (B,) says which items are then of the first.
    """
    known = {REHEARSED: torch.zeros_like(batch["sample"]), "task": torch.tensor(0), "past_share": torch.tensor(0.0)}
    if again is not None:
        known = {REHEARSED: again.long(), "task": torch.tensor(1), "past_share": torch.tensor(0.5)}
    return {**batch, **known}


def legs_of(composition: Composition, training: Training, processes: int) -> list[Leg]:
    """The legs of a training in their order.

    Raises:
        ContrastError: if there is too little to train on.
    """
    tasks, data = tasks_of(composition), composition.data
    least, store = max(2, processes), composition.pipeline.rehearsal
    parts: list[tuple[Data, Task | None]] = [
        (InTask(data, tasks, number, store, least), task) for number, task in enumerate(tasks)
    ] or [(data, None)]
    legs: list[Leg] = []
    for number, (part, task) in enumerate(parts):
        per_epoch, count = batches_per_epoch(part, training, processes), len(training_items(part))
        if per_epoch < 1 or count < 2:
            of = f"task {number + 1}" if tasks else "the data set"
            raise ContrastError(f"{of.capitalize()} has {count} item(s) to train on: too few to compare anything.")
        limit = per_epoch * training.epochs
        steps = limit if training.steps is None else min(training.steps, limit)
        legs.append(Leg(part, legs[-1].end if legs else 0, number * training.epochs, per_epoch, steps, task))
    return legs
