"""Similarities of two lists of token vectors."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.similarity.base import Rows, Similarity


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
