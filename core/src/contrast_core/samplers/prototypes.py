"""Anchors against prototypes: the pairs of ProtoNCE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch

from contrast_core.embeddings import Embeddings, cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same


@final
class Prototypes(PairSampler):
    """positives = the prototype of the anchor's cluster; negatives = the others of the same clustering (PCL).

    With M clusterings every anchor comes M times, in the order of the clusterings, with columns `clustering`
    and `cluster`. A cluster of -1, or one without prototype, leaves that row without positive.

    Args:
        anchors: name of the anchors' table, with a column `cluster`, (n,) or (n, M): each row's cluster in
            each clustering.
        memory: name of the memory of prototypes, whose rows have the columns `clustering` (0 .. M - 1),
            `cluster` and, for the objective `ProtoNCE`, `concentration`.
        name: under which the pairs go on.

    Paper: arXiv 2005.04966.
    """

    def __init__(self, anchors: str = "embedding", memory: str = "prototypes", name: str = "pairs"):
        super().__init__()
        self.anchors, self.memory, self.name = anchors, memory, name
        self.needs, self.gives = (anchors, f"{anchors}.cluster", memory), (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the repeated anchors with all prototypes."""
        anchors: Embeddings = flow[self.anchors]
        clusters = anchors["cluster"].reshape(len(anchors), -1)
        repeated = cat(
            [
                anchors.with_columns(clustering=torch.full((len(anchors),), m), cluster=clusters[:, m])
                for m in range(clusters.shape[1])
            ]
        )
        own = same("clustering") & same("cluster")
        others = same("clustering") & ~same("cluster")
        return {self.name: Pairs(repeated, flow[self.memory].read(), own, others)}
