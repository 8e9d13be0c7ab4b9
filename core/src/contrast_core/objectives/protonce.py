"""The prototype term of ProtoNCE."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import against_everyone, average, similarity_or_cosine
from contrast_core.pairs import Pairs
from contrast_core.similarity import Similarity


@final
class ProtoNCE(Objective):
    """Each anchor against the prototypes of a clustering, every prototype with a temperature of its own.

    L = mean_i [ log sum_{c in A_i} exp(s_ic / phi_c) - s_i,a(i) / phi_a(i) ], with A_i all prototypes of the
    row's clustering and a(i) the one of its cluster. With M clusterings the anchors come M times, once for
    each (the sampler `Prototypes` does so), and the mean over rows is the mean over clusterings of the mean
    over anchors.

    Args:
        pairs: name of the pairs, anchors (n rows) and prototypes (m rows). Positive is the own prototype,
            negatives are the others of the same clustering.
        concentration: the prototypes' column that holds phi > 0.
        similarity: s; cosine of z by default.
        denominator: "sum" as in the paper's equation 11, or "mean_times_rows": the mean over the K prototypes
            of the clustering times its N anchors, as the code of MEOW has it, which adds the constant log(N /
            K). It needs the column `clustering` on both sides.

    Use: Beside InfoNCE, where data fall into clusters that instance discrimination would tear apart; after some epochs
        of InfoNCE alone, as clusterings of untrained rows mean little.

    Cost: O(n m d) time for n anchors (each once for every clustering) and m prototypes of all clusterings, O((n + m) d)
        memory; less than InfoNCE where there are fewer prototypes than rows in a batch. Clustering comes on top.

    Parity: no authors' code; equation 11 of PCL evaluated directly, with a concentration for each prototype, values
        and gradients to 1e-10 in float64.

    The code of PCL samples negative prototypes and lets the whole batch share them, so that the own prototype
    of an anchor may also stand among its negatives; here each prototype stands in the denominator once.

    Papers: arXiv 2005.04966 (PCL); MEOW for `mean_times_rows`.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        concentration: str = "concentration",
        similarity: Similarity | None = None,
        denominator: Literal["sum", "mean_times_rows"] = "sum",
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.concentration, self.denominator = pairs, concentration, denominator
        self.similarity = similarity_or_cosine(similarity)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; an anchor without a prototype of its own is dropped and counted."""
        pairs = outputs.pairs[self.pairs]
        ((denominator, positive, weight),) = against_everyone(pairs, self.similarity, self.concentration)
        if self.denominator == "mean_times_rows":
            denominator = denominator + self._constant(pairs).to(denominator.dtype)
        return average(denominator - positive, (weight > 0) & (denominator != -math.inf))

    def _constant(self, pairs: Pairs) -> Tensor:
        """log(N / K) of each anchor's clustering, (n,)."""
        ours, theirs = pairs.anchors["clustering"], pairs.candidates["clustering"]
        names, which, rows = torch.unique(ours, return_inverse=True, return_counts=True)
        prototypes = (names[:, None] == theirs[None, :]).sum(1)
        constant = torch.log(rows.double() / prototypes.clamp(min=1))
        return constant.index_select(0, which)
