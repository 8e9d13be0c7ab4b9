"""Neighbourhood components analysis."""

from __future__ import annotations

from typing import final

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import average, contrast
from contrast_core.similarity import Cosine, NegativeDistance, Similarity


@final
class NCA(Objective):
    """The log-probability that a stochastic neighbour is a positive, D_ij = |x_i - x_j|^2.

    L = mean_i -log( sum_{p in P_i} e^{-scale D_ip} / sum_{j in A_i} e^{-scale D_ij} ), A_i = positives and
    negatives.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows).
        scale: sharpness of the neighbourhood.
        normalise: scale rows to unit length first, as pytorch-metric-learning does.

    It is SupCon's "in" form on squared distances, without the division by the number of positives.

    Use: With labels, where it is enough that some neighbours of an anchor are of its class; made for nearest-neighbour
        classifiers, and content with classes of several clusters.

    Cost: O(n m d) time and O((n + m) d) memory: two log-sum-exps, by hand for unit rows. Without scaling to unit
        length distances go through generic blocks, which is several times slower.

    Parity: NCALoss of pytorch-metric-learning 2.9.0, on unit rows, values and gradients to 1e-10 in float64. The paper
        learns a linear map and has no scale.

    Raises:
        ValueError: if the scale is not positive.

    Paper: Goldberger et al., Neighbourhood Components Analysis, NIPS 2004.
    """

    def __init__(self, pairs: str = "pairs", scale: float = 1.0, normalise: bool = True):
        super().__init__()
        if scale <= 0:
            raise ValueError(f"A scale must be positive, not {scale}.")
        self.needs = (pairs,)
        self.pairs = pairs
        # On unit rows -D = 2 s - 2; the constant cancels, and the cosine has the fast road.
        self.similarity: Similarity = Cosine() if normalise else NegativeDistance()
        self.temperature = 1 / (2 * scale) if normalise else 1 / scale

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; rows without positives are dropped and counted."""
        pairs = outputs.pairs[self.pairs]
        positive = pairwise.logsumexp(pairs, pairs.positives, self.similarity, self.temperature)
        losses = contrast(pairs, self.similarity, self.temperature) - positive
        return average(losses, positive.isfinite())
