"""NT-Xent with one term for every ordered positive pair."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.listing import listed_pairs, similarities
from contrast_core.objectives.rows import average, similarity_or_cosine
from contrast_core.objectives.temperature import LogitScale
from contrast_core.pairs import Pairs
from contrast_core.relations import everything
from contrast_core.similarity import Similarity

Reduction = Literal["pairs", "rows", "all_rows"]

SHORT = 16
"""Positive pairs, for each row of the tables, whose rows are picked one by one: that is fast, but takes memory."""


@final
class PairwiseNTXent(Objective):
    """L = mean over positive pairs (a, p) of -log[ e^{l_ap} / (e^{l_ap} + sum_{n in N_a} w_an e^{l_an}) ].

    l = s / t, N_a the negatives of a and w their weights.

    An anchor's other positives are not in the denominator, so with more than two samples a class this is
    neither SupCon nor the NT-Xent of SimCLR; with one positive an anchor it is the latter. With the pairs of
    `ClassPairs` and a similarity behind a gate it is the loss of Hydra and SimLAP.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows); weights of positives are not used.
        temperature: t.
        similarity: s; cosine of z by default.
        reduction: the mean over all positive "pairs" (pytorch-metric-learning, Hydra); over the "rows" that
            have a positive, of each row's mean; or over "all_rows", where one without adds 0 and each sum is
            divided by the number of its positives + 1e-6, as FastSSL's SimLAP does.

    The term's `rows` are positive pairs, or rows, by the reduction; `dropped` are anchors without a positive.
    A pair of an anchor without negatives has the loss 0.

    Use: where an anchor's positives are not to compete with each other, as those of a class chosen at random.

    Cost: O(n m d) time and O((n + m) d) memory: one log-sum-exp over the negatives, and one number a positive
    pair if these are few, else a second pass over all pairs, in blocks. With few positives as fast as InfoNCE.

    Parity: NTXentLoss of pytorch-metric-learning, which saturates near zero, as it adds the smallest float
    inside the logarithm, and takes O(n^3) memory; Hydra (erow/hydra, "pairs") and SimLAP (erow/FastSSL,
    "all_rows"), which subtract row means instead of maxima. Values and gradients in float64 to 1e-10.

    Raises:
        ValueError: if the temperature is not positive.

    Papers: arXiv 2002.05709 (NT-Xent), 2410.18200 (Hydra, SimLAP).
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.07,
        similarity: Similarity | None = None,
        reduction: Reduction = "pairs",
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.reduction = pairs, reduction
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; without any positive pair zero."""
        sums, count = self._sums(outputs.pairs[self.pairs])
        n, some = len(count), count > 0
        if self.reduction == "rows":
            return average(sums / count.clamp(min=1), some)
        dropped = n - int(some.sum())
        if self.reduction == "all_rows":
            return Term((sums / (count + 1e-6)).sum() / max(n, 1), rows=n, dropped=dropped)
        total = int(count.sum())
        return Term(sums.sum() / max(total, 1), rows=total, dropped=dropped)

    def _sums(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """(sum of the losses of its positive pairs, their number) of every anchor, (n,) each."""
        temperature, positives = self.temperature(), pairs.positives & everything
        negative = pairwise.logsumexp(pairs, pairs.negatives, self.similarity, temperature)
        limit = SHORT * (len(pairs.anchors) + len(pairs.candidates))
        if positives.listed(pairs.anchors, pairs.candidates, limit) is None:
            sums = pairwise.sum_of(
                lambda s, rows: _loss(s / temperature, negative[rows, None]),
                pairs,
                positives,
                self.similarity,
                rowwise=True,
            )
            return sums, pairwise.weight(pairs, positives)
        i, j = listed_pairs(pairs, positives)
        losses = _loss(similarities(pairs, self.similarity, i, j) / temperature, negative[i])
        zero = torch.zeros_like(negative)
        return zero.index_add(0, i, losses.to(zero.dtype)), zero.index_add(0, i, torch.ones_like(losses).to(zero.dtype))


def _loss(positive: Tensor, negative: Tensor) -> Tensor:
    """log(e^l + e^negative) - l, exact where it is nearly 0."""
    gap = negative - positive
    return torch.logaddexp(torch.zeros_like(gap), gap)
