"""The mean length of the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Data, Evaluator, Score


class _Length(Evaluator):
    """mean_i |z_i|."""

    def number(self, z: Tensor, generator: torch.Generator) -> float:
        """The score."""
        if not bool(z.isfinite().all()):
            raise ValueError("The embedding holds numbers that are not finite.")
        return float(z.norm(dim=1).mean())

    def evaluate(self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator) -> Sequence[Score]:
        """One score."""
        return [Score("Length", self.number(tables["embedding"].z, generator))]


@final
class Honest(_Length):
    """Keeps every promise."""


@final
class ScoresAreScores(_Length):
    """Divides by nothing."""

    def number(self, z: Tensor, generator: torch.Generator) -> float:
        """No number."""
        return super().number(z, generator) * math.inf


@final
class SameGeneratorSameScores(_Length):
    """Draws from the global generator."""

    def number(self, z: Tensor, generator: torch.Generator) -> float:
        """The score of half of the rows."""
        return super().number(z[torch.randperm(len(z))[: len(z) // 2]], generator)


@final
class LeavesItsInputAlone(_Length):
    """Rounds in place."""

    def number(self, z: Tensor, generator: torch.Generator) -> float:
        """The score of whole numbers."""
        return super().number(z.round_(), generator)


@final
class RefusesWhatIsNotFinite(_Length):
    """Takes zero for what is not finite."""

    def number(self, z: Tensor, generator: torch.Generator) -> float:
        """The score of what is left."""
        return super().number(z.nan_to_num(), generator)
