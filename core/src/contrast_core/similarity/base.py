"""What a similarity is, and what all of them check."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings

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


class Bilinear(Similarity):
    """Base of the similarities that are inner products of prepared vectors: `prepare` is all that they are."""

    bilinear = True

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Inner products."""
        return a[0] @ c[0].T

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Row-wise inner products."""
        return (a[0] * c[0]).sum(1)


def need_field(similarity: Similarity, side: str, table: Embeddings, name: str) -> None:
    """Raise ValueError if a table lacks a field."""
    if name not in table.fields:
        have = ", ".join(table.fields)
        raise ValueError(
            f"The similarity {similarity} needs the field '{name}', which the {side} lack; they have {have}."
        )


def need_vectors(similarity: Similarity, anchors: Tensor, candidates: Tensor) -> None:
    """Raise ValueError if two fields are no vectors of one length."""
    a, c = tuple(anchors.shape), tuple(candidates.shape)
    if len(a) != 2 or len(c) != 2 or a[1] != c[1]:
        raise ValueError(f"The similarity {similarity} compares vectors (n, d) and (m, d), not shapes {a} and {c}.")
