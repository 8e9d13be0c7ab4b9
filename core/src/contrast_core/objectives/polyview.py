"""Poly-view contrastive loss."""

from __future__ import annotations

from typing import Literal, final

import torch

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.listing import listed_pairs, similarities
from contrast_core.objectives.rows import average, similarity_or_cosine
from contrast_core.objectives.segments import Segments
from contrast_core.objectives.temperature import LogitScale
from contrast_core.similarity import Similarity


@final
class PolyView(Objective):
    """PVC: every other view of an instance is a target of its own; l = s / t.

        q_rp = e^{l_rp} / (e^{l_rp} + sum_{c in N_r} e^{l_rc})     for each positive p of row r
        geometric    L = -mean_r mean_{p in P_r} log q_rp
        arithmetic   L = -mean_r log mean_{p in P_r} q_rp          <= geometric, by Jensen

    N_r are the rows of other instances in all views. Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs of all rows of all views, as the sampler two-views gives them; weights of positives
            are not used.
        temperature: t.
        similarity: s; cosine of z by default, so rows need not be of unit length.
        mean: which mean of the q is taken over an anchor's positives.

    Use: As the baseline for multi-view losses, or where every target must be found by itself; the arithmetic mean is
        content with one well found target. With complete views the geometric form equals `pairwise-ntxent`.

    Cost: One log-sum-exp for each row and one number for each positive pair: O(n^2 d) time for n rows of all views and
        O(n d) memory, as InfoNCE.

    Parity: The geometric PVC of pakoromilas/Multi-View-CL, values and gradients to 1e-10 in float64. Its arithmetic
        branch takes logarithms of batch means, which is not the paper's form; here it is the paper's.

    Raises:
        ValueError: if the temperature is not positive, or the mean is neither of the two.

    Paper: Poly-View Contrastive Learning, ICLR 2024, arXiv 2403.05490. A row without a positive is dropped.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.5,
        similarity: Similarity | None = None,
        mean: Literal["geometric", "arithmetic"] = "geometric",
    ):
        super().__init__()
        if mean not in ("geometric", "arithmetic"):
            raise ValueError(f"The mean is 'geometric' or 'arithmetic', not '{mean}'.")
        self.needs = (pairs,)
        self.pairs, self.mean = pairs, mean
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs, temperature = outputs.pairs[self.pairs], self.temperature()
        i, j = listed_pairs(pairs, pairs.positives)
        positive = similarities(pairs, self.similarity, i, j) / temperature
        negative = pairwise.logsumexp(pairs, pairs.negatives, self.similarity, temperature)
        logarithms = positive - torch.logaddexp(positive, negative[i])
        anchors = Segments(i, len(pairs.anchors))
        count = anchors.sizes()
        some = count.clamp(min=1).to(logarithms.dtype)
        if self.mean == "geometric":
            mean = anchors.sum(logarithms) / some
        else:
            mean = anchors.logsumexp(logarithms) - some.log()
        return average(-mean, count > 0)
