"""One table against another: the pairs of InfoNCE in one direction and of CLIP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same


@final
class Cross(PairSampler):
    """Rows of one table meet rows of another: positives = same sample, negatives = another sample.

    Two views, two modalities, a student and its teacher; anchors never meet each other.

    Args:
        anchors: name of the anchors' table, with a column `sample`.
        candidates: name of the candidates' table, with a column `sample`.
        name: under which the pairs go on.
        apart: columns of both tables in which a negative differs from its anchor, beside `sample`.
    """

    def __init__(self, anchors: str = "one", candidates: str = "two", name: str = "pairs", apart: Sequence[str] = ()):
        super().__init__()
        self.anchors, self.candidates, self.name, self.apart = anchors, candidates, name, tuple(apart)
        self.needs = (
            anchors,
            candidates,
            *(f"{table}.{column}" for table in (anchors, candidates) for column in apart),
        )
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the two tables."""
        others = ~same("sample")
        for column in self.apart:
            others = others & ~same(column)
        return {self.name: Pairs(flow[self.anchors], flow[self.candidates], same("sample"), others)}
