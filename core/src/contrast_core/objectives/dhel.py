"""DHEL: alignment of two views, uniformity of each by itself."""

from __future__ import annotations

import math
from typing import final

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.of_views import among, at_least_two_views
from contrast_core.objectives.rows import average, similarity_or_cosine
from contrast_core.objectives.temperature import LogitScale
from contrast_core.relations import same
from contrast_core.similarity import Similarity


@final
class DHEL(Objective):
    """Decoupled hyperspherical energy loss; l = s / t, N_r the negatives of row r in its own view.

    L = mean_r [ 2 log sum_{c in N_r} exp(l_rc) - mean_{p in P_r} l_rp ]

    over the rows of all views. With two views a and b that is (1/M) sum_i [ LSE_{j != i}(a_i a_j / t) +
    LSE_{j != i}(b_i b_j / t) - a_i b_i / t ]; with more it is the average of this over all pairs of views. Shapes:
    anchors (n, d), candidates (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs of all rows of all views, as the sampler two-views gives them.
        temperature: t; 0.3 in the authors' code.
        similarity: s; cosine of z by default, so rows need not be of unit length.
        include_augs: if false, only the first view's rows are anchors, with their one log-sum-exp:
            (1/M) sum_i [ LSE_{j != i}(a_i a_j / t) - a_i b_i / t ]. First is the view that comes first in the table.

    Use: In place of NT-Xent where alignment and uniformity should not share a denominator; MV-DHEL is its form with
        one term for all views of an instance.

    Cost: O(N M^2 d) time for N views of M instances, half of NT-Xent with two views; O(N M d) memory.

    Parity: DHEL of pakoromilas/DHEL-KCL, both include_augs, and MVDHEL with pairwise averages of
        pakoromilas/Multi-View-CL, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive; in use, if the rows have no `view` or only one.

    Paper: Bridging Mini-Batch and Asymptotic Analysis in Contrastive Learning: From InfoNCE to Kernel-Based Losses,
        ICML 2024, arXiv 2405.18045. A row without positives, or without negatives in its view, is dropped.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.3,
        similarity: Similarity | None = None,
        include_augs: bool = True,
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.include_augs = pairs, include_augs
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs = outputs.pairs[self.pairs]
        views = at_least_two_views(pairs)
        if not self.include_augs:
            pairs = among(pairs, views[:1], views)
        found = pairwise.contrast(pairs, pairs.negatives * same("view"), self.similarity, self.temperature())
        energy = 2 * found.denominator if self.include_augs else found.denominator
        return average(energy - found.positive, (found.weight > 0) & (found.denominator != -math.inf))
