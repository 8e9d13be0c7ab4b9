"""Supervised contrastive loss."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import against_everyone, average, similarity_or_cosine
from contrast_core.objectives.temperature import LogitScale
from contrast_core.pairs import Pairs
from contrast_core.pairwise import Temperature
from contrast_core.similarity import Similarity


@final
class SupCon(Objective):
    """Supervised contrastive loss, several positives an anchor; l_ij = s_ij / t, A_i = P_i and negatives.

        out (eq. 2)   L_i = log sum_{j in A_i} exp(l_ij) - mean_{p in P_i} l_ip
        in  (eq. 3)   L_i = log sum_{j in A_i} exp(l_ij) - log mean_{p in P_i} exp(l_ip)   <= out, by Jensen

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows).
        temperature: t.
        similarity: s; cosine of z by default, so rows need not be of unit length (SupContrast expects them
            so).
        form: "out", which the paper recommends, or "in".
        reduction: over anchors that have a positive, "mean_valid"; over all, where one without adds 0,
            "mean_all", as SupContrast does; or their "sum", which is that of one process.
        base_temperature: if given, the loss is multiplied by t / base_temperature, as SupContrast does with
            0.07.

    `dropped` counts the anchors without positives in every case. pytorch-metric-learning averages over the
    anchors whose loss is above zero, which is "mean_valid" unless a loss is exactly 0.

    Use: With labels, or whenever an anchor has several positives that are all equally right. The "in" form bears with
        positives that are far off, since the nearest ones satisfy it; the paper finds it worse.

    Cost: O(n m d) time and O((n + m) d) memory, as InfoNCE: positives by label are summed through class sums, without
        a pass over pairs. The "in" form takes one more log-sum-exp, over the positives.

    Parity: HobbitLong/SupContrast (all views or one as anchors, and without labels), SupConLoss of
        pytorch-metric-learning 2.9.0, and equations 2 and 3 evaluated directly; values and gradients to 1e-10 in
        float64. SupContrast's own settings are reduction="mean_all", base_temperature=0.07 and plain products.

    Raises:
        ValueError: if a temperature is not positive.

    Paper: arXiv 2004.11362.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.1,
        similarity: Similarity | None = None,
        form: Literal["out", "in"] = "out",
        reduction: Literal["mean_valid", "mean_all", "sum"] = "mean_valid",
        base_temperature: float | None = None,
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.form, self.reduction = pairs, form, reduction
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)
        self.factor = 1.0 if base_temperature is None else temperature / LogitScale(base_temperature).fixed

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs, temperature = outputs.pairs[self.pairs], self.temperature()
        (found,) = against_everyone(pairs, self.similarity, temperature)
        positive = found.positive if self.form == "out" else self._inside(pairs, found.weight, temperature)
        term = average(found.denominator - positive, found.weight > 0)
        value, rows, everyone = term.value * self.factor, term.rows, len(pairs.anchors)
        if self.reduction == "sum":
            value = value * rows
        elif self.reduction == "mean_all":
            value, rows = value * (rows / max(everyone, 1)), everyone
        return Term(value, rows, term.dropped)

    def _inside(self, pairs: Pairs, weight: Tensor, temperature: Temperature) -> Tensor:
        """log mean_{p in P_i} exp(l_ip), (n,)."""
        some = torch.where(weight > 0, weight, 1.0)
        return pairwise.logsumexp(pairs, pairs.positives, self.similarity, temperature) - some.log()
