"""The opposite of a similarity, to look for the least alike."""

from __future__ import annotations

from typing import final

from attrs import frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.similarity import Rows, Similarity


@final
@frozen
class Opposite(Similarity):
    """s'(a, c) = -s(a, c)."""

    of: Similarity

    def prepare(self, table: Embeddings) -> Rows:
        """What the similarity itself needs."""
        return self.of.prepare(table)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Negated similarities of all pairs."""
        return -self.of.between(a, c)

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Negated similarities row by row."""
        return -self.of.listed(a, c)
