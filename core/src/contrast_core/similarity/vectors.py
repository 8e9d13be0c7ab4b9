"""Similarities of two vectors: inner product, cosine, distance."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.similarity.base import Bilinear, Rows, Similarity, need_vectors
from contrast_core.similarity.unit import unit_rows


@frozen
class Dot(Bilinear):
    """s(a, c) = a . c of one field, (n, d)."""

    field: str = "z"

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Also raise ValueError if the fields are no vectors of one length."""
        Similarity.check(self, anchors, candidates)
        need_vectors(self, anchors[self.field], candidates[self.field])


@frozen
class Cosine(Bilinear):
    """s(a, c) = a . c / (max(|a|, eps) max(|c|, eps)) of one field, (n, d)."""

    field: str = "z"
    eps: float = 1e-12

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Also raise ValueError if the fields are no vectors of one length."""
        Similarity.check(self, anchors, candidates)
        need_vectors(self, anchors[self.field], candidates[self.field])

    def prepare(self, table: Embeddings) -> Rows:
        """Unit rows."""
        return (unit_rows(at_least_float32(table[self.field]), self.eps),)


@frozen
class SquaredDistance(Bilinear):
    """s(a, c) = -|a - c|^2, computed as the inner product (2 a, -|a|^2, 1) . (c, 1, -|c|^2) on the engine's fast roads.

    Its error is that of |a|^2 + |c|^2, some 1e-7 of these in float32, however near the two rows are: enough under an
    exponential, for rows that do not lie far from the origin. `NegativeDistance` is as exact as the distance itself,
    and several times as slow.

    Args:
        normalise: scale rows to unit length first.
        field: what is compared, (n, d).

    Raises:
        ValueError: in use, if the fields are no vectors of one length.
    """

    normalise: bool = False
    field: str = "z"
    two_sided = True

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Also raise ValueError if the fields are no vectors of one length."""
        Similarity.check(self, anchors, candidates)
        need_vectors(self, anchors[self.field], candidates[self.field])

    def prepare(self, table: Embeddings) -> Rows:
        """(2 a, -|a|^2, 1)."""
        rows, square = self._rows(table)
        return (torch.cat([2 * rows, -square, torch.ones_like(square)], 1),)

    def prepare_candidates(self, table: Embeddings) -> Rows:
        """(c, 1, -|c|^2)."""
        rows, square = self._rows(table)
        return (torch.cat([rows, torch.ones_like(square), -square], 1),)

    def _rows(self, table: Embeddings) -> tuple[Tensor, Tensor]:
        rows = at_least_float32(table[self.field])
        rows = unit_rows(rows) if self.normalise else rows
        return rows, rows.square().sum(1, keepdim=True)


@frozen
class NegativeDistance(Similarity):
    """s(a, c) = -|a - c|^power with the Euclidean norm; `normalise` scales rows to unit length first.

    Where two rows coincide the gradient is 0 for every power.

    Args:
        power: of the distance, above 0.
        normalise: scale rows to unit length first.
        field: what is compared, (n, d).

    Raises:
        ValueError: for a power that is not above 0; in use, if the fields are no vectors of one length.
    """

    power: float = 2.0
    normalise: bool = False
    field: str = "z"

    def __attrs_post_init__(self) -> None:
        if not self.power > 0:
            raise ValueError(f"A distance is raised to a power > 0, not {self.power}.")

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Also raise ValueError if the fields are no vectors of one length."""
        Similarity.check(self, anchors, candidates)
        need_vectors(self, anchors[self.field], candidates[self.field])

    def prepare(self, table: Embeddings) -> Rows:
        """The rows, of unit length if asked for."""
        rows = at_least_float32(table[self.field])
        return (unit_rows(rows) if self.normalise else rows,)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Distances of all pairs."""
        # The exact mode: the expansion |a|^2 + |c|^2 - 2ac loses all digits of small distances in float32.
        return self._raised(torch.cdist(a[0], c[0], compute_mode="donot_use_mm_for_euclid_dist"))

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Distances row by row."""
        return self._raised((a[0] - c[0]).norm(dim=1))

    def _raised(self, distance: Tensor) -> Tensor:
        if self.power >= 1:
            return -(distance if self.power == 1 else distance**self.power)
        # Below 1 the slope of the power is infinite at 0, and times the distance's own 0 that would be NaN.
        apart = distance > 0
        return torch.where(apart, -(torch.where(apart, distance, 1.0) ** self.power), 0.0)
