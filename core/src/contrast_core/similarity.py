"""Similarities: how alike two rows are. The engine divides them by a temperature to get logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from attrs import field, frozen
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings, at_least_float32

Rows = tuple[Tensor, ...]
"""What a similarity needs of a table: tensors whose first dimension is the row."""


class Similarity(ABC):
    """Base of all similarities s(a, c): larger means more alike."""

    bilinear: bool = False
    """Whether `prepare` gives one (n, d) tensor and s(a, c) = a . c of these: the engine's hand-written path."""
    two_sided: bool = False
    """Whether candidates are prepared in another way than anchors, so that one table makes two."""

    @property
    def tensors(self) -> int:
        """How many tensors `prepare` gives."""
        return 1

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError, naming similarity, side and field, if the tables lack what is compared."""
        if isinstance(name := getattr(self, "field", None), str):
            for side, table in (("anchors", anchors), ("candidates", candidates)):
                need_field(self, side, table, name)

    def prepare(self, table: Embeddings) -> Rows:
        """Tensors computed once per row, by default the field alone."""
        return (table[getattr(self, "field", "z")],)

    def prepare_candidates(self, table: Embeddings) -> Rows:
        """The same for the candidates' side; a similarity that does it in another way says so with `two_sided`."""
        return self.prepare(table)

    @abstractmethod
    def between(self, a: Rows, c: Rows) -> Tensor:
        """Similarities of every row of `a` (r rows) with every row of `c` (k rows): (r, k)."""

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Similarities of row p of `a` with row p of `c`: (p,)."""
        parts = [self.between(tuple(x[p : p + 1] for x in a), tuple(x[p : p + 1] for x in c)) for p in range(len(a[0]))]
        return torch.cat(parts).flatten() if parts else a[0].new_zeros(0)

    def numbers_per_pair(self, a: Rows, c: Rows) -> int:
        """How many numbers `between` holds at once for each pair; the engine chooses its blocks by that."""
        return 1


def need_field(similarity: Similarity, side: str, table: Embeddings, name: str) -> None:
    """Raise ValueError if a table lacks a field."""
    if name not in table.fields:
        have = ", ".join(table.fields)
        raise ValueError(
            f"The similarity {similarity} needs the field '{name}', which the {side} lack; they have {have}."
        )


@frozen
class Dot(Similarity):
    """s(a, c) = a . c of one field, (n, d)."""

    field: str = "z"
    bilinear = True

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Also raise ValueError if the fields are no vectors of one length."""
        Similarity.check(self, anchors, candidates)
        _need_vectors(self, anchors[self.field], candidates[self.field])

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

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Also raise ValueError if the fields are no vectors of one length."""
        Similarity.check(self, anchors, candidates)
        _need_vectors(self, anchors[self.field], candidates[self.field])

    def prepare(self, table: Embeddings) -> Rows:
        """Unit rows."""
        return (functional.normalize(at_least_float32(table[self.field]), dim=1, eps=self.eps),)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Inner products of unit rows."""
        return a[0] @ c[0].T

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Row-wise inner products of unit rows."""
        return (a[0] * c[0]).sum(1)


@frozen
class NegativeDistance(Similarity):
    """s(a, c) = -|a - c|^power with the Euclidean norm; `normalise` scales rows to unit length first.

    Where two rows coincide the gradient is 0 for every power.
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
        _need_vectors(self, anchors[self.field], candidates[self.field])

    def prepare(self, table: Embeddings) -> Rows:
        """The rows, of unit length if asked for."""
        rows = at_least_float32(table[self.field])
        return (functional.normalize(rows, dim=1) if self.normalise else rows,)

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


def _similarities(parts: Sequence[Similarity]) -> tuple[Similarity, ...]:
    # A converter with types of its own: from `tuple` alone type checkers and recipes learn nothing.
    return tuple(parts)


def _numbers(weights: Sequence[float]) -> tuple[float, ...]:
    return tuple(weights)


@frozen
class WeightedSum(Similarity):
    """s = sum_k weight_k s_k; under an exponential this is a product of kernels, e.g. on two fields."""

    parts: Sequence[Similarity] = field(converter=_similarities)
    weights: Sequence[float] = field(converter=_numbers)

    def __attrs_post_init__(self) -> None:
        if len(self.parts) != len(self.weights) or not self.parts:
            raise ValueError(f"{len(self.parts)} similarities need as many weights, not {len(self.weights)}.")

    @property
    def tensors(self) -> int:
        """Those of all parts."""
        return sum(part.tensors for part in self.parts)

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
        """Whether a part is."""
        return any(part.two_sided for part in self.parts)

    def prepare(self, table: Embeddings) -> Rows:
        """The parts' tensors one after the other."""
        return self._joined([part.prepare(table) for part in self.parts])

    def prepare_candidates(self, table: Embeddings) -> Rows:
        """The same for the candidates' side."""
        return self._joined([part.prepare_candidates(table) for part in self.parts])

    def _joined(self, prepared: Sequence[Rows]) -> Rows:
        for part, rows in zip(self.parts, prepared, strict=True):
            if len(rows) != part.tensors:
                raise ValueError(
                    f"{part} prepares {len(rows)} tensors, but its property `tensors` says {part.tensors}."
                )
        return tuple(tensor for rows in prepared for tensor in rows)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """The weighted sum of the parts."""
        each = zip(self.parts, self.weights, self._split(a), self._split(c), strict=True)
        first, *others = (weight * part.between(x, y) for part, weight, x, y in each)
        return sum(others, first)

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """The weighted sum of the parts."""
        each = zip(self.parts, self.weights, self._split(a), self._split(c), strict=True)
        first, *others = (weight * part.listed(x, y) for part, weight, x, y in each)
        return sum(others, first)

    def numbers_per_pair(self, a: Rows, c: Rows) -> int:
        """Those of all parts."""
        each = zip(self.parts, self._split(a), self._split(c), strict=True)
        return sum(part.numbers_per_pair(x, y) for part, x, y in each)


@frozen
class MaxSim(Similarity):
    """Late interaction: s(a, c) = sum_t max_u a_t . c_u over the token vectors (n, T, d) of one field.

    Padding tokens are zero vectors; they add 0 to the sum and, as maxima, win only over negative products.
    """

    field: str = "tokens"

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Also raise ValueError if the fields are no lists of token vectors of one length."""
        Similarity.check(self, anchors, candidates)
        a, c = tuple(anchors[self.field].shape), tuple(candidates[self.field].shape)
        if len(a) != 3 or len(c) != 3 or a[2] != c[2]:
            raise ValueError(f"The similarity {self} compares tokens (n, T, d) and (m, U, d), not shapes {a} and {c}.")

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Sums of maxima."""
        return torch.einsum("itd,jud->ijtu", a[0], c[0]).amax(-1).sum(-1)

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Sums of maxima, row by row."""
        return torch.einsum("ptd,pud->ptu", a[0], c[0]).amax(-1).sum(-1)

    def numbers_per_pair(self, a: Rows, c: Rows) -> int:
        """One for each pair of tokens."""
        return max(1, a[0].shape[1] * c[0].shape[1])


@frozen
class Given(Similarity):
    """s_ij = entry j of the anchors' field, (n, m): scores that something else computed."""

    field: str = "scores"
    two_sided = True

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError if the anchors have no scores or not one for each candidate."""
        need_field(self, "anchors", anchors, self.field)
        shape, wanted = tuple(anchors[self.field].shape), (len(anchors), len(candidates))
        if shape != wanted:
            raise ValueError(f"The similarity {self} needs one score for each pair, {wanted}, not {shape}.")

    def prepare_candidates(self, table: Embeddings) -> Rows:
        """The row numbers."""
        return (torch.arange(len(table), device=table.device),)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """The entries."""
        return a[0].index_select(1, c[0])

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """The entries."""
        return a[0].gather(1, c[0][:, None]).squeeze(1)


def _need_vectors(similarity: Similarity, anchors: Tensor, candidates: Tensor) -> None:
    a, c = tuple(anchors.shape), tuple(candidates.shape)
    if len(a) != 2 or len(c) != 2 or a[1] != c[1]:
        raise ValueError(f"The similarity {similarity} compares vectors (n, d) and (m, d), not shapes {a} and {c}.")
