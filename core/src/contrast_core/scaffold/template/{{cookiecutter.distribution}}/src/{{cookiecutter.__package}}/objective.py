"""The loss of given pairs."""

from __future__ import annotations

from typing import final

import torch
from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import average


@final
class Spectral(Objective):
    """Spectral contrastive loss: attraction is linear in the similarity and repulsion its square.

    L = mean_i [ -2 mu mean_{p in P_i} c_ip + mu^2 mean_{j in N_i} c_ij^2 ], with the cosine c of the rows' field z:
    f(x)_i . f(x)_j = mu c_ij where rows are scaled to length sqrt(mu). Means are weighted by the relations' weights.
    Shapes: anchors (n, d), candidates (m, d); the value is a scalar, at least -2 mu.

    The minimum factorises the graph of positives, whence the name.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows).
        mu: squared length of the rows; the larger, the more repulsion weighs.

    Use: Where a temperature is hard to choose; negatives are pushed to a right angle and no further.

    Cost: O(n m d) time and O((n + m) d) memory, in blocks of rows.

    Parity: No other code was compared; the tests hold value and gradients equal to plain loops, to 1e-10 in float64.

    Raises:
        ValueError: if mu is not positive.

    Paper: HaoChen et al., Provable Guarantees for Self-Supervised Deep Learning with Spectral Contrastive Loss,
        NeurIPS 2021, arXiv 2106.04156.
    """

    def __init__(self, pairs: str = "pairs", mu: float = 1.0):
        super().__init__()
        if mu <= 0:
            raise ValueError(f"mu = {mu} must be positive: it is the squared length of the rows.")
        self.needs = (pairs,)
        self.pairs, self.mu = pairs, mu

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; rows without a positive or without a negative are dropped and counted."""
        pairs = outputs.pairs[self.pairs]
        # Statistics of each anchor's row of similarities; no (n, m) matrix is made.
        attraction, positives = pairwise.weighted_sum(pairs, pairs.positives)
        repulsion = pairwise.sum_of(torch.square, pairs, pairs.negatives)
        negatives = pairwise.weight(pairs, pairs.negatives)
        valid = (positives > 0) & (negatives > 0)
        drawn = attraction / torch.where(valid, positives, 1.0)
        pushed = repulsion / torch.where(valid, negatives, 1.0)
        return average(self.mu**2 * pushed - 2 * self.mu * drawn, valid)
