"""Rows of one number attract each other: the pairs of contrastive regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch

from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import near, same


@final
class NearLabels(PairSampler):
    """positives = other rows whose label, a number, is the same; negatives = rows of another number.

    How much a row of another number counts is for the objective to say: `WeightedSupCon` (SupReMix, arXiv 2309.16633)
    weighs by the distance of labels, `RankNContrast` (arXiv 2210.01189) goes by their order. A row whose label is NaN
    is left out, since its distance to others is unknown.

    Args:
        views: names of the tables, one or more, each with a column `label`, (n,).
        tolerance: labels that differ by no more than this are the same.
        name: under which the pairs go on.

    Raises:
        ValueError: if no table is named or the tolerance is negative; in use, if a label is not one number a row.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), tolerance: float = 0.0, name: str = "pairs"):
        super().__init__()
        if not views:
            raise ValueError("Name at least one table whose rows are to be paired by label.")
        self.views, self.name = tuple(views), name
        self.alike = near("label", tolerance) if tolerance else same("label")
        self.needs = (*self.views, *(f"{view}.label" for view in self.views))
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the tables' rows."""
        rows = cat([flow[view] for view in self.views])
        unknown = rows["label"].isnan()
        if unknown.dim() == 1 and unknown.any():
            rows = rows.select(~unknown)
        rows = rows.with_columns(row=torch.arange(len(rows)))
        return {self.name: Pairs(rows, rows, self.alike & ~same("row"), ~self.alike)}
