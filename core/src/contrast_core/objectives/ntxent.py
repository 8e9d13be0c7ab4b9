"""NT-Xent with one term for every ordered positive pair."""

from __future__ import annotations

from typing import final

import torch

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.listing import listed_pairs, similarities
from contrast_core.objectives.rows import similarity_or_cosine
from contrast_core.objectives.temperature import LogitScale
from contrast_core.similarity import Similarity


@final
class PairwiseNTXent(Objective):
    """L = mean over positive pairs (a, p) of -log[ e^{l_ap} / (e^{l_ap} + sum_{n in N_a} w_an e^{l_an}) ].

    l = s / t, N_a the negatives of a and w their weights.

    An anchor's other positives are not in the denominator, so with more than two samples a class this is
    neither SupCon nor the NT-Xent of SimCLR; with one positive an anchor it is the latter.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows); weights of positives are not used.
        temperature: t.
        similarity: s; cosine of z by default.

    The term's `rows` are positive pairs, `dropped` are anchors without one. pytorch-metric-learning's
    NTXentLoss has the same values (but saturates near zero, as it adds the smallest float inside the
    logarithm) and builds a matrix of positive times negative pairs, O(n^3); here it is one log-sum-exp an
    anchor and one number a positive pair.

    Raises:
        ValueError: if the temperature is not positive.
    """

    def __init__(self, pairs: str = "pairs", temperature: float = 0.07, similarity: Similarity | None = None):
        super().__init__()
        self.needs = (pairs,)
        self.pairs = pairs
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; without any positive pair zero."""
        pairs, temperature = outputs.pairs[self.pairs], self.temperature()
        i, j = listed_pairs(pairs, pairs.positives)
        positive = similarities(pairs, self.similarity, i, j) / temperature
        negative = pairwise.logsumexp(pairs, pairs.negatives, self.similarity, temperature)
        losses = torch.logaddexp(positive, negative[i]) - positive
        dropped = len(pairs.anchors) - len(torch.unique(i))
        return Term(losses.sum() / max(len(losses), 1), rows=len(losses), dropped=dropped)
