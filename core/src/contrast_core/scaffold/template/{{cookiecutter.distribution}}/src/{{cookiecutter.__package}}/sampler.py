"""Who is compared with whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from contrast_core import pairwise
from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import edges, same


@final
class NotNear(PairSampler):
    """All views against all, without the negatives that are likely to be of the anchor's own class:

        P_i = other views of i's sample,    N_i = rows of other samples, but for the `near` of them that have the
        largest cosine similarity to i.

    Two items of one class push each other away in plain two-view pairs. They tend to be near already, so an anchor's
    nearest rows of other samples are neither positives nor negatives. No gradient flows through that choice; of rows
    that are equally near any may be taken. A row with no more than `near` rows of other samples has no negative:
    objectives leave it out and count it as dropped.

    Args:
        views: names of the tables, at least two, each with a column `sample`; a row's view becomes its column `view`.
        near: how many rows are set aside for each anchor, at least 1.
        name: under which the pairs go on.

    Raises:
        ValueError: for fewer than two views or near below 1.

    Paper: Huynh et al., Boosting Contrastive Self-Supervised Learning with False Negative Cancellation, WACV 2022,
        arXiv 2011.11765 (elimination). There further views of the anchor choose the rows, here the anchor itself does.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        near: int = 4,
        name: str = "pairs",
    ):
        super().__init__()
        if len(set(views)) < 2:
            raise ValueError(f"An anchor's positive is another view of its sample: give two views, not {list(views)}.")
        if near < 1:
            raise ValueError(f"near = {near} must be at least 1; with no row set aside use core/two-views.")
        self.views, self.near, self.name = tuple(views), near, name
        self.needs, self.gives = (*self.views, *(f"{view}.sample" for view in self.views)), (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of all rows with all rows."""
        rows = cat([flow[view].with_columns(view=view) for view in self.views])
        others = ~same("sample")
        with torch.no_grad():
            _, nearest = pairwise.topk(Pairs(rows, rows, others, others), others, self.near)
        # -1 fills up where an anchor has fewer others than asked for.
        anchor, place = (nearest >= 0).nonzero(as_tuple=True)
        aside = edges(anchor, nearest[anchor, place])
        return {self.name: Pairs(rows, rows, same("sample") & ~same("view"), others & ~aside)}
