"""Anchors against everyone's positives and hard negatives: the pairs of multiple-negatives ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same, where


@final
class Ranking(PairSampler):
    """positives = the row of the same sample among the positives; negatives = every other candidate.

    Candidates are the positives of all anchors, then the hard negatives of all anchors, also those that other
    anchors brought; their column `source` tells which table they come from. A sample that is twice in a batch
    is positive to both of its copies, where sentence-transformers sets it against itself.

    Args:
        anchors: name of the anchors' table, with a column `sample`.
        positives: name of the table of their positives, with a column `sample`.
        negatives: names of tables of hard negatives, whose `sample` is that of the anchor they were chosen
            for.
        name: under which the pairs go on.

    Raises:
        ValueError: if a table of negatives is the table of positives.

    Paper: arXiv 1705.00652.
    """

    def __init__(
        self,
        anchors: str = "anchor",
        positives: str = "positive",
        negatives: Sequence[str] = (),
        name: str = "pairs",
    ):
        super().__init__()
        if positives in negatives:
            raise ValueError(f"The table '{positives}' can't hold positives and negatives at once.")
        self.anchors, self.positives, self.negatives, self.name = anchors, positives, tuple(negatives), name
        self.needs, self.gives = (anchors, positives, *self.negatives), (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the anchors with all candidates."""
        candidates = cat([flow[name].with_columns(source=name) for name in (self.positives, *self.negatives)])
        own = same("sample") & where("source", self.positives)
        return {self.name: Pairs(flow[self.anchors], candidates, own, ~own)}
