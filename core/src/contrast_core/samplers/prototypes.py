"""Anchors against prototypes: the pairs of ProtoNCE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

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
        anchors: name of the anchors' table; unless `assigned` is given, with a column `cluster`, (n,) or (n, M):
            each row's cluster in each clustering.
        memory: name of the memory of prototypes, whose rows have the columns `clustering` (0 .. M - 1),
            `cluster` and, for the objective `ProtoNCE`, `concentration`.
        name: under which the pairs go on.
        assigned: name of the table whose rows decide the clusters, by the memory's present centroids, as
            `core/clusters` has them: a teacher's, another view's, or the anchors' own. It holds the samples of the
            anchors in their order.

    Raises:
        ValueError: in use, if the tables hold different samples.

    Paper: arXiv 2005.04966.
    """

    def __init__(
        self,
        anchors: str = "embedding",
        memory: str = "prototypes",
        name: str = "pairs",
        assigned: str | None = None,
    ):
        super().__init__()
        self.anchors, self.memory, self.name, self.assigned = anchors, memory, name, assigned
        if assigned is None:
            self.needs = (anchors, f"{anchors}.cluster", memory)
        else:
            self.needs = (anchors, assigned, f"{anchors}.sample", f"{assigned}.sample", memory)
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the repeated anchors with all prototypes."""
        anchors: Embeddings = flow[self.anchors]
        clusters = self._clusters(flow)
        clusters = clusters[:, None] if clusters.dim() == 1 else clusters
        repeated = cat(
            [
                anchors.with_columns(clustering=torch.full((len(anchors),), m), cluster=clusters[:, m])
                for m in range(clusters.shape[1])
            ]
        )
        own = same("clustering") & same("cluster")
        others = same("clustering") & ~same("cluster")
        return {self.name: Pairs(repeated, flow[self.memory].read(), own, others)}

    def _clusters(self, flow: Flow) -> Tensor:
        if self.assigned is None:
            return flow[self.anchors]["cluster"]  # type: ignore[no-any-return]
        _, assigned = same_samples(flow, self.anchors, self.assigned)
        return flow[self.memory].assignments(assigned.z)  # type: ignore[no-any-return]


def same_samples(flow: Flow, a: str, b: str) -> tuple[Embeddings, Embeddings]:
    """Two tables of the same samples in the same order.

    Raises:
        ValueError: if they are not.
    """
    if not torch.equal(flow[a]["sample"], flow[b]["sample"]):
        raise ValueError(f"The tables '{a}' and '{b}' must hold the same samples in the same order.")
    return flow[a], flow[b]
