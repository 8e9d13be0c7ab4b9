"""Inner products."""

from __future__ import annotations

from typing import final

from torch import Tensor

from contrast_core.similarity import Rows, Similarity


@final
class Honest(Similarity):
    """s(a, c) = a . c, keeping every promise."""

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Inner products."""
        return a[0] @ c[0].T


@final
class GivesANumberAPair(Similarity):
    """s(a, c) = a . c, rounded to float32."""

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Rounded inner products."""
        return (a[0] @ c[0].T).float()


@final
class BlocksAgree(Similarity):
    """s(a, c) = a . c - mean over the block."""

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Centred inner products."""
        found = a[0] @ c[0].T
        return found - found.mean()
