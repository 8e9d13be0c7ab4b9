"""Triplet margin loss."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.listing import expanded, listed_pairs, similarities
from contrast_core.pairs import Pairs
from contrast_core.relations import everything
from contrast_core.similarity import NegativeDistance, WeightedSum


@final
class Triplet(Objective):
    """L = mean over triplets (a, p, n) of max(0, d_ap - d_an + margin), d = |x - y|^power.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows); positive weights count as 1.
        margin: how much farther than a positive a negative should be.
        power: 1 for the Euclidean distance, 2 for its square (FaceNet, arXiv 1503.03832).
        mining: "all" triplets; "hard": for each anchor its farthest positive and nearest negative (arXiv
            1703.07737); "semi-hard": the triplets with d_ap < d_an < d_ap + margin (FaceNet).
        reduction: "mean_positive": over the triplets with positive loss, as pytorch-metric-learning's default
            does; "mean_all": over all triplets that mining leaves.
        normalise: scale rows to unit length first.

    The term's `rows` are the triplets averaged over, `dropped` the anchors in no triplet. No list of triplets
    is made: memory is O(positive pairs + block).

    Use: Where a fixed margin is wanted and classes are small, as in retrieval and verification. With many negatives
        most triplets soon have loss zero; mine, or take InfoNCE.

    Cost: O(p m d) time for p positive pairs with "all" and "semi-hard", as many times InfoNCE as an anchor has
        positives; "hard" takes two searches over all pairs, O(n m d). Distances are computed exactly, not by products,
        which is several times slower.

    Parity: TripletMarginLoss of pytorch-metric-learning 2.9.0 over all triplets, values and gradients to 1e-10 in
        float64. Mining and power 2 agree with plain loops.

    Raises:
        ValueError: if the margin is negative.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        margin: float = 0.05,
        power: Literal[1, 2] = 1,
        mining: Literal["all", "hard", "semi-hard"] = "all",
        reduction: Literal["mean_positive", "mean_all"] = "mean_positive",
        normalise: bool = True,
    ):
        super().__init__()
        if margin < 0:
            raise ValueError(f"A margin must not be negative, as {margin} is.")
        self.needs = (pairs,)
        self.pairs, self.margin, self.mining, self.reduction = pairs, margin, mining, reduction
        self.closeness = NegativeDistance(float(power), normalise)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; zero if no triplet is left."""
        pairs = outputs.pairs[self.pairs]
        sums, active, triplets, anchor = self._hardest(pairs) if self.mining == "hard" else self._each(pairs)
        count = int((active if self.reduction == "mean_positive" else triplets).sum())
        dropped = len(pairs.anchors) - len(torch.unique(anchor[triplets > 0]))
        return Term(sums.sum() / max(count, 1), rows=count, dropped=dropped)

    def _hardest(self, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Loss, activity and number of triplets (0 or 1) of each anchor, and the anchors."""
        farthest = pairwise.topk(pairs, pairs.positives, 1, WeightedSum((self.closeness,), (-1.0,)))[0][:, 0]
        nearest = -pairwise.topk(pairs, pairs.negatives, 1, self.closeness)[0][:, 0]
        valid = (farthest > -math.inf) & (nearest < math.inf)
        loss = (farthest[valid] - nearest[valid] + self.margin).clamp(min=0)
        return loss, loss > 0, torch.ones_like(loss), valid.nonzero()[:, 0]

    def _each(self, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sum of losses, active triplets, all triplets of each positive pair, and the pairs' anchors."""
        i, j = listed_pairs(pairs, pairs.positives)
        near = -similarities(pairs, self.closeness, i, j)
        pairs = expanded(pairs, i)

        def kept(closeness: Tensor, rows: slice) -> Tensor:
            if self.mining == "all":
                return torch.ones_like(closeness)
            excess = -closeness - near[rows, None]
            return ((excess > 0) & (excess < self.margin)).to(closeness.dtype)

        def loss(closeness: Tensor, rows: slice) -> Tensor:
            return (near[rows, None] + closeness + self.margin).clamp(min=0) * kept(closeness, rows)

        def active(closeness: Tensor, rows: slice) -> Tensor:
            return (loss(closeness, rows) > 0).to(closeness.dtype)

        # A triplet counts once, whatever its negative weighs.
        negatives = pairs.negatives & everything
        sums = pairwise.sum_of(loss, pairs, negatives, self.closeness, rowwise=True)
        with torch.no_grad():
            losing = pairwise.sum_of(active, pairs, negatives, self.closeness, rowwise=True)
            triplets = pairwise.sum_of(kept, pairs, negatives, self.closeness, rowwise=True)
        return sums, losing, triplets, i
