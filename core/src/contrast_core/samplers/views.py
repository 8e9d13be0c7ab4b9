"""All views against all: the pairs of NT-Xent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch

from contrast_core.embeddings import Embeddings, cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same


@final
class TwoViews(PairSampler):
    """Every view of every sample is an anchor and a candidate, though not of itself.

    positives = same sample, another view; negatives = another sample. With two views and `InfoNCE` this is
    NT-Xent (arXiv 2002.05709); more views give an anchor several positives.

    Args:
        views: names of the tables, at least two, each with a column `sample`; a row's view becomes its column
            `view`.
        one: only rows of the first view are anchors; candidates remain all.
        name: under which the pairs go on.

    Raises:
        ValueError: for fewer than two views.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), one: bool = False, name: str = "pairs"):
        super().__init__()
        if len(set(views)) < 2:
            raise ValueError(f"An anchor's positive is another view of its sample: give two views, not {list(views)}.")
        self.views, self.one, self.name = tuple(views), one, name
        self.needs, self.gives = self.views, (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of all rows, or those of the first view, with all rows."""
        rows: Embeddings = cat([flow[view].with_columns(view=view) for view in self.views])
        anchors = rows.select(torch.arange(len(flow[self.views[0]]))) if self.one else rows
        return {self.name: Pairs(anchors, rows, same("sample") & ~same("view"), ~same("sample"))}
