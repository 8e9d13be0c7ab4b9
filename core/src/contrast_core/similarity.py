"""Similarities: how alike two rows are. The engine divides them by a temperature to get logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from attrs import field, frozen
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings

Rows = tuple[Tensor, ...]
"""What a similarity needs of a table: tensors whose first dimension is the row."""


class Similarity(ABC):
    """Base of all similarities s(a, c): larger means more alike."""

    bilinear: bool = False
    """Whether `prepare` gives one (n, d) tensor and s(a, c) = a . c of these: the engine's hand-written path."""

    def prepare(self, table: Embeddings) -> Rows:
        """Tensors computed once per row, by default the field alone."""
        return (table[getattr(self, "field", "z")],)

    @abstractmethod
    def between(self, a: Rows, c: Rows) -> Tensor:
        """Similarities of every row of `a` (r rows) with every row of `c` (k rows): (r, k)."""

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Similarities of row p of `a` with row p of `c`: (p,)."""
        parts = [self.between(tuple(x[p : p + 1] for x in a), tuple(x[p : p + 1] for x in c)) for p in range(len(a[0]))]
        return torch.cat(parts).flatten() if parts else a[0].new_zeros(0)


@frozen
class Dot(Similarity):
    """s(a, c) = a . c of one field, (n, d)."""

    field: str = "z"
    bilinear = True

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Inner products."""
        return a[0] @ c[0].T

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Row-wise inner products."""
        return (a[0] * c[0]).sum(1)


@frozen
class Cosine(Similarity):
    """s(a, c) = a . c / (max(|a|, eps) max(|c|, eps)) of one field, (n, d)."""

    field: str = "z"
    eps: float = 1e-12
    bilinear = True

    def prepare(self, table: Embeddings) -> Rows:
        """Unit rows."""
        return (functional.normalize(_at_least_float32(table[self.field]), dim=1, eps=self.eps),)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Inner products of unit rows."""
        return a[0] @ c[0].T

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Row-wise inner products of unit rows."""
        return (a[0] * c[0]).sum(1)


@frozen
class NegativeDistance(Similarity):
    """s(a, c) = -|a - c|^power with the Euclidean norm; `normalise` scales rows to unit length first."""

    power: float = 2.0
    normalise: bool = False
    field: str = "z"

    def prepare(self, table: Embeddings) -> Rows:
        """The rows, of unit length if asked for."""
        rows = _at_least_float32(table[self.field])
        return (functional.normalize(rows, dim=1) if self.normalise else rows,)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Distances of all pairs."""
        # The exact mode: the expansion |a|^2 + |c|^2 - 2ac loses all digits of small distances in float32.
        if self.power == 2.0:
            difference = a[0][:, None] - c[0][None]
            return -(difference * difference).sum(-1)
        return -(torch.cdist(a[0], c[0], compute_mode="donot_use_mm_for_euclid_dist") ** self.power)

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Distances row by row."""
        if self.power == 2.0:
            return -((a[0] - c[0]) ** 2).sum(1)
        return -((a[0] - c[0]).norm(dim=1) ** self.power)


@frozen
class WeightedSum(Similarity):
    """s = sum_k weight_k s_k; under an exponential this is a product of kernels, e.g. on two fields."""

    parts: Sequence[Similarity] = field(converter=tuple)
    weights: Sequence[float] = field(converter=tuple)

    def __attrs_post_init__(self) -> None:
        if len(self.parts) != len(self.weights) or not self.parts:
            raise ValueError(f"{len(self.parts)} similarities need as many weights, not {len(self.weights)}.")

    def _split(self, rows: Rows) -> list[Rows]:
        # A part's prepared tensors follow each other; each built-in similarity prepares exactly one.
        return [(tensor,) for tensor in rows]

    def prepare(self, table: Embeddings) -> Rows:
        """The parts' tensors one after the other."""
        return tuple(part.prepare(table)[0] for part in self.parts)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """The weighted sum of the parts."""
        each = zip(self.parts, self.weights, self._split(a), self._split(c), strict=True)
        return torch.stack([weight * part.between(x, y) for part, weight, x, y in each]).sum(0)

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """The weighted sum of the parts."""
        each = zip(self.parts, self.weights, self._split(a), self._split(c), strict=True)
        return torch.stack([weight * part.listed(x, y) for part, weight, x, y in each]).sum(0)


@frozen
class MaxSim(Similarity):
    """Late interaction: s(a, c) = sum_t max_u a_t . c_u over the token vectors (n, T, d) of one field.

    Padding tokens are zero vectors; they add 0 to the sum and, as maxima, win only over negative products.
    """

    field: str = "tokens"

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Sums of maxima."""
        return torch.einsum("itd,jud->ijtu", a[0], c[0]).amax(-1).sum(-1)


@frozen
class Given(Similarity):
    """s_ij = entry j of the anchors' field, (n, m): scores that something else computed."""

    field: str = "scores"

    def prepare(self, table: Embeddings) -> Rows:
        """The scores on the anchors' side, the row number on the candidates'."""
        number = torch.arange(len(table), device=table.device)
        return (table[self.field], number) if self.field in table else (number, number)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """The entries."""
        return a[0][:, c[1]]

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """The entries."""
        return a[0].gather(1, c[1][:, None]).squeeze(1)


def _at_least_float32(rows: Tensor) -> Tensor:
    return rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows
