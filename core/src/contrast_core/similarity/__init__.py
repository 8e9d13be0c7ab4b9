"""Similarities: how alike two rows are. The engine divides them by a temperature to get logits."""

from __future__ import annotations

from contrast_core.similarity.base import Bilinear, Rows, Similarity, need_field, need_vectors
from contrast_core.similarity.combined import WeightedSum
from contrast_core.similarity.gated import GatedCosine, GatedDot
from contrast_core.similarity.given import Given
from contrast_core.similarity.tokens import MaxSim
from contrast_core.similarity.vectors import Cosine, Dot, NegativeDistance, SquaredDistance

__all__ = [
    "Bilinear",
    "Cosine",
    "Dot",
    "GatedCosine",
    "GatedDot",
    "Given",
    "MaxSim",
    "NegativeDistance",
    "Rows",
    "Similarity",
    "SquaredDistance",
    "WeightedSum",
    "need_field",
    "need_vectors",
]
