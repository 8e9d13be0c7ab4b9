"""Scores that something else computed."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.similarity.base import Rows, Similarity, need_field


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
