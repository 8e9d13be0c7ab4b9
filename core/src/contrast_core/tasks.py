"""Continual learning: data that come as a sequence of tasks, and what is kept of the tasks that have ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, final

import torch
from attrs import frozen
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings

if TYPE_CHECKING:
    from contrast_core.interfaces import Data


REHEARSED = "rehearsal"
"""The name in a batch, and the column of tables, that is 1 for items of ended tasks and else 0."""
IN_BATCHES = (REHEARSED, "task", "past_share")
"""Names that a batch of a training over tasks has beside those that the data give."""
InBatch = int | Literal["once"]
"""How many kept items join a batch."""


@final
@frozen(eq=False)
class Task:
    """One task.

    Args:
        name: for people.
        items: numbers, int64, of the items that are trained on while it lasts.
        members: numbers, int64, of all items, of whatever part, that an evaluation on this task looks at.
    """

    name: str
    items: Tensor
    members: Tensor


class Tasks(ABC):
    """How a data set is cut into tasks, and what happens where one ends: a recipe's section [tasks].

    Training goes through the tasks one after the other, `training.epochs` (and at most `training.steps` steps) each.

    Args:
        restart: whether the optimiser forgets its moments, and the schedule of the learning rate begins anew, with each
            task; otherwise both go on over all tasks.
        measure: scores that are taken after each task on every task so far, "EVALUATOR/METRIC" as in
            `training.validate`; without any, the first score of each evaluator. The evaluator must train and test on
            the rows of the data's splits.
    """

    def __init__(self, restart: bool = True, measure: Sequence[str] = ()):
        self.restart, self.measure = restart, tuple(measure)

    @abstractmethod
    def of(self, data: Data) -> Sequence[Task]:
        """The tasks of a data set, which is loaded, in their order; the same whenever it is asked.

        Raises:
            ValueError: if these data can't be cut in this way.
        """


class Rehearsal(nn.Module, ABC):
    """Which items of ended tasks are trained on again; it keeps their numbers, in a buffer. A recipe's [rehearsal].

    When a task ends, `take` is given the task's items and those that are kept, as the model embeds them then. In the
    tasks after, `in_batch` of the kept items (all, if there are fewer), drawn anew for each batch, join its new items.

    Args:
        in_batch: how many kept items join a batch, at least 0; or "once": in an epoch each of them comes once, shuffled
            among the new items. An epoch has as many batches as without, and they are larger.
        seed: of whatever is drawn at random.

    Raises:
        ValueError: if `in_batch` is negative; in use, if something else was chosen than distinct offered items.
    """

    items: Tensor

    def __init__(self, in_batch: InBatch = 32, seed: int = 0):
        super().__init__()
        if in_batch != "once" and in_batch < 0:
            raise ValueError(f"in_batch = {in_batch} must be at least 0, kept items that join each batch, or 'once'.")
        self.in_batch, self.seed = in_batch, seed
        self.register_buffer("items", torch.full((0,), -1))

    @abstractmethod
    def capacity(self, classes: int) -> int:
        """How many items are kept at most, of data of so many classes."""

    @abstractmethod
    def choose(self, rows: Embeddings) -> Tensor:
        """Numbers, int64, of the items to keep from now on.

        Args:
            rows: the offered items, the kept ones first: the field `z` (n, d) and the columns `sample`, `label` (-1
                where unknown), `kept` (1 or 0). Nothing may be drawn from the global generators.
        """

    def begin(self, items: int, classes: int, training: int) -> None:
        """Make room, for data of so many items; called once, before training.

        Args:
            items: of the data; classes, training: classes, and training items, of all tasks.
        """
        self.items = torch.full((self.capacity(classes),), -1)

    @torch.no_grad()
    def take(self, rows: Embeddings) -> None:
        """Choose anew, when a task ends."""
        chosen = self.choose(rows).to(self.items)
        offered = rows["sample"].to(self.items)
        if len(chosen) > len(self.items) or len(chosen.unique()) < len(chosen) or not torch.isin(chosen, offered).all():
            raise ValueError(
                f"{type(self).__name__} chose {len(chosen)} items to keep; it may choose at most {len(self.items)} of "
                "those it is offered, each once."
            )
        self.items.fill_(-1)
        self.items[: len(chosen)] = chosen

    def kept(self) -> Tensor:
        """Numbers of the kept items, int64, in the order in which they were chosen; a copy on the CPU."""
        return self.items[self.items >= 0].cpu().clone()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # A trained model is loaded where nobody knows how many classes its tasks had.
        saved = state_dict.get(f"{prefix}items")
        if saved is not None and not len(self.items):
            self.items = torch.full_like(saved, -1)
        super()._load_from_state_dict(state_dict, prefix, *rest)
