"""The last 20 items that were offered."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.tasks import Rehearsal


class _Last(Rehearsal):
    """Keeps the last ones."""

    def __init__(self) -> None:
        super().__init__()

    def capacity(self, classes: int) -> int:
        """Twenty."""
        return 20

    def choose(self, rows: Embeddings) -> Tensor:
        """The last ones."""
        return rows["sample"][-20:]


@final
class Honest(_Last):
    """Keeps every promise."""


@final
class KeepsWhatItIsOffered(_Last):
    """Keeps more than there is room for."""

    def choose(self, rows: Embeddings) -> Tensor:
        """One too many."""
        return rows["sample"][-21:]


@final
class EveryBitIsInBuffers(_Last):
    """Counts tasks in a plain number."""

    count = 0

    def choose(self, rows: Embeddings) -> Tensor:
        """Later ones from one task to the next."""
        self.count += 1
        return rows["sample"][self.count : self.count + 20]


@final
class DrawsNothingGlobally(_Last):
    """Draws from the global generator."""

    def choose(self, rows: Embeddings) -> Tensor:
        """Any twenty, and a number that nobody needs."""
        torch.rand(1)
        return rows["sample"][-20:]
