"""Two tasks, of items with even and odd numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch

from contrast_core.interfaces import Data
from contrast_core.tasks import Task, Tasks


class _Halves(Tasks):
    """Even numbers, then odd ones."""

    def __init__(self) -> None:
        super().__init__()

    def of(self, data: Data) -> Sequence[Task]:
        """Both tasks."""
        every = torch.arange(len(data))
        return [Task("even", every[::2], every), Task("odd", every[1::2], every)]


@final
class Honest(_Halves):
    """Keeps every promise."""


@final
class TasksAreOfTheData(_Halves):
    """Counts from 1."""

    def of(self, data: Data) -> Sequence[Task]:
        """One too many."""
        return [Task(task.name, task.items + 1, task.members) for task in super().of(data)]


@final
class SameTasksAgain(_Halves):
    """Draws its items anew."""

    def of(self, data: Data) -> Sequence[Task]:
        """Any half of the data, by the clock."""
        seed = torch.Generator().seed()
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
        return [Task("one", order[::2], order), Task("two", order[1::2], order)]
