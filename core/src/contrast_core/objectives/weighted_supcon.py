"""Supervised contrastive loss for labels that are numbers: the farther a label, the more its row counts."""

from __future__ import annotations

from typing import final

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import average, similarity_or_cosine
from contrast_core.objectives.temperature import LogitScale
from contrast_core.relations import Weighting, distance
from contrast_core.similarity import Similarity


@final
class WeightedSupCon(Objective):
    """L = mean_i [ log sum_{j in A_i} w_ij exp(l_ij) - mean_{p in P_i} l_ip ], l = s / t, A_i = P_i and negatives.

    w_ij is a function of the distance of the labels y: |y_i - y_j| + 1 ("L1_inv"), 1 / (|y_i - y_j| + 1) ("L1"),
    (y_i - y_j)^2 + 1 ("L2_inv") or 1 / ((y_i - y_j)^2 + 1) ("L2"). Shapes: anchors (n, d), candidates (m, d); the
    value is a scalar.

    Args:
        pairs: name of the pairs, for example those of `NearLabels`; only who is related counts, except that weights
            of positives share the attraction out.
        temperature: t; 0.5 for ages of faces, 0.1 to 0.5 for texts in SupReMix.
        weighting: w, by SupReMix's names.
        label: name of the column of y, (n,) and (m,).
        similarity: s; cosine of z by default, so rows need not be of unit length.

    A row without positives is dropped and counted.

    Use: for embeddings that follow a number such as an age or a score, where classes of equal labels are small and
    neighbours should stay nearer than rows far off; mixtures of rows are further candidates with labels of their own.

    Cost: O(n m d) time and O((n + m) d) memory: one weighted log-sum-exp and a mean over the positives. About twice
    the time of InfoNCE, whose pairs need no weights.

    Parity: SupReMix's code (Dingyijiang1/Mixup-Your-Own-Pairs), values and gradients in float64 to 1e-10, without
    mixtures; with mixtures the loss of the paper, with one softmax over real rows and mixtures, where that code
    subtracts another maximum from each and so weighs mixtures more.

    Raises:
        ValueError: if the temperature is not positive or the weighting unknown; in use, if labels are missing or not
            one number a row.

    Paper: arXiv 2309.16633.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.5,
        weighting: Weighting = "L1_inv",
        label: str = "label",
        similarity: Similarity | None = None,
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs = pairs
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)
        self.weights = distance(label, weighting)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs = outputs.pairs[self.pairs]
        denominator = (pairs.positives | pairs.negatives) * self.weights
        found = pairwise.contrast(pairs, denominator, self.similarity, self.temperature())
        return average(found.denominator - found.positive, found.weight > 0)
