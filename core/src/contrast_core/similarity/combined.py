"""Similarities made of similarities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from attrs import field, frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.similarity.base import Rows, Similarity


def _similarities(parts: Sequence[Similarity]) -> tuple[Similarity, ...]:
    # A converter with types of its own: from `tuple` alone type checkers and recipes learn nothing.
    return tuple(parts)


def _numbers(weights: Sequence[float]) -> tuple[float, ...]:
    return tuple(weights)


@frozen
class WeightedSum(Similarity):
    """s = sum_k weight_k s_k; under an exponential this is a product of kernels, e.g. on two fields.

    A sum of inner products is one of longer vectors, and taken as such.

    Args:
        parts: the similarities s_k.
        weights: one a part.

    Raises:
        ValueError: if there are no parts, or not as many weights.
    """

    parts: Sequence[Similarity] = field(converter=_similarities)
    weights: Sequence[float] = field(converter=_numbers)

    def __attrs_post_init__(self) -> None:
        if len(self.parts) != len(self.weights) or not self.parts:
            raise ValueError(f"{len(self.parts)} similarities need as many weights, not {len(self.weights)}.")

    @property
    def bilinear(self) -> bool:  # type: ignore[override]
        """Whether all parts are."""
        return all(part.bilinear for part in self.parts)

    @property
    def tensors(self) -> int:
        """Those of all parts, or the one that they are joined to."""
        return 1 if self.bilinear else sum(part.tensors for part in self.parts)

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Check every part."""
        for part in self.parts:
            part.check(anchors, candidates)

    def _split(self, rows: Rows) -> list[Rows]:
        """Each part's own tensors; they follow each other in `rows`."""
        ends = [sum(part.tensors for part in self.parts[:k]) for k in range(len(self.parts) + 1)]
        return [rows[start:end] for start, end in pairwise(ends)]

    @property
    def two_sided(self) -> bool:  # type: ignore[override]
        """Whether a part is, or a negative weight lies on one side of an inner product."""
        return any(part.two_sided for part in self.parts) or (self.bilinear and min(self.weights) < 0)

    def prepare(self, table: Embeddings) -> Rows:
        """The parts' tensors one after the other; of inner products in one, by the roots of the weights' sizes."""
        prepared = [part.prepare(table) for part in self.parts]
        if not self.bilinear:
            return self._joined(prepared)
        return self._one(prepared, [math.copysign(abs(weight) ** 0.5, weight) for weight in self.weights])

    def prepare_candidates(self, table: Embeddings) -> Rows:
        """The same for the candidates' side."""
        prepared = [part.prepare_candidates(table) for part in self.parts]
        return self._one(prepared, [abs(w) ** 0.5 for w in self.weights]) if self.bilinear else self._joined(prepared)

    def _one(self, prepared: Sequence[Rows], factors: Sequence[float]) -> Rows:
        return (torch.cat([factor * rows for factor, (rows,) in zip(factors, prepared, strict=True)], 1),)

    def _joined(self, prepared: Sequence[Rows]) -> Rows:
        for part, rows in zip(self.parts, prepared, strict=True):
            if len(rows) != part.tensors:
                raise ValueError(
                    f"{part} prepares {len(rows)} tensors, but its property `tensors` says {part.tensors}."
                )
        return tuple(tensor for rows in prepared for tensor in rows)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """The weighted sum of the parts."""
        if self.bilinear:
            return a[0] @ c[0].T
        each = zip(self.parts, self.weights, self._split(a), self._split(c), strict=True)
        first, *others = (weight * part.between(x, y) for part, weight, x, y in each)
        return sum(others, first)

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """The weighted sum of the parts."""
        if self.bilinear:
            return (a[0] * c[0]).sum(1)
        each = zip(self.parts, self.weights, self._split(a), self._split(c), strict=True)
        first, *others = (weight * part.listed(x, y) for part, weight, x, y in each)
        return sum(others, first)

    def numbers_per_pair(self, a: Rows, c: Rows) -> int:
        """Those of all parts."""
        if self.bilinear:
            return 1
        each = zip(self.parts, self._split(a), self._split(c), strict=True)
        return sum(part.numbers_per_pair(x, y) for part, x, y in each)
