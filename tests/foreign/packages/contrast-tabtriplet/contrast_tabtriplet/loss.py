# SPDX-License-Identifier: 0BSD
"""The triplet loss."""

from dataclasses import dataclass

import torch
from contrast_core import Objective, Outputs, Term, pairwise
from contrast_core.objectives.rows import average


@dataclass(eq=False, repr=False)
class Hinge(Objective):
    """L = mean_k max(0, D(a_k, p_k) - D(a_k, n_k) + margin), D(x, y) = |x/|x| - y/|y||^2.

    Each anchor row k stands for one triplet. An anchor with several positives or negatives counts with their mean
    distance, weighted by the relations. Rows that lack a positive or a negative are dropped.

    Shapes: anchors (n, d), candidates (m, d); the value is a scalar, at least 0.

    Args:
        pairs: name of the pairs.
        margin: alpha of the paper, from above 0 to 4, which is the largest squared distance of unit rows.

    Raises:
        ValueError: if the margin is out of that range.

    Paper: Schroff, Kalenichenko, Philbin, FaceNet, CVPR 2015, arXiv 1503.03832, equations 2 and 3.
    """

    pairs: str = "pairs"
    margin: float = 0.2

    def __post_init__(self):
        super().__init__()
        if not 0 < self.margin <= 4:
            raise ValueError(f"margin = {self.margin} must be from above 0 to 4.")
        self.needs = (self.pairs,)

    def forward(self, outputs: Outputs) -> Term:
        """The mean hinge of all complete triplets."""
        pairs = outputs.pairs[self.pairs]
        # |x - y|^2 = 2 - 2 cos(x, y) for unit rows, so the difference of distances is one of cosines.
        gap = 2 * (pairwise.mean(pairs, pairs.negatives) - pairwise.mean(pairs, pairs.positives))
        complete = (pairwise.weight(pairs, pairs.positives) > 0) & (pairwise.weight(pairs, pairs.negatives) > 0)
        return average(torch.relu(gap + self.margin), complete)
