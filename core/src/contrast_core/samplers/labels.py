"""Rows of one class attract each other: the pairs of SupCon and the metric losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch

from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same, where


@final
class Labels(PairSampler):
    """positives = other rows of the same label; negatives = rows of another label (SupCon, arXiv 2004.11362).

    A row with label -1 is unlabelled and takes part in no pair, on either side: unknown is not the same as
    different.

    Args:
        views: names of the tables, one or more, each with a column `label`.
        one: only rows of the first table are anchors; candidates remain all (SupContrast's contrast_mode
            "one").
        name: under which the pairs go on.

    Raises:
        ValueError: if no table is named.
    """

    def __init__(self, views: Sequence[str] = ("embedding",), one: bool = False, name: str = "pairs"):
        super().__init__()
        if not views:
            raise ValueError("Name at least one table whose rows are to be paired by label.")
        self.views, self.one, self.name = tuple(views), one, name
        self.needs = (*self.views, *(f"{view}.label" for view in self.views))
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the tables' rows."""
        rows = cat([flow[view] for view in self.views])
        rows = rows.with_columns(row=torch.arange(len(rows)))
        first = torch.arange(len(flow[self.views[0]]), device=rows.device)
        anchors = rows.select(first) if self.one else rows
        alike = same("label", missing=-1)
        unknown = where("label", -1) | where("label", -1, side="anchors")
        return {self.name: Pairs(anchors, rows, alike & ~same("row"), ~(alike | unknown))}
