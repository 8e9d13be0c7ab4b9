"""InfoNCE that takes false negatives out of its denominator, and weighs negatives by their hardness."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import similarity_or_cosine
from contrast_core.objectives.temperature import LogitScale
from contrast_core.relations import everything
from contrast_core.similarity import Similarity


@final
class DebiasedInfoNCE(Objective):
    """Debiased contrastive loss, with hard negatives weighted up where beta > 0; l = s / t.

    L   = mean_i [ log( sum_{p in P_i} exp(l_ip) + N_i g_i ) - mean_{p in P_i} l_ip ]
    g_i = max( (h_i - tau_plus mean_{p in P_i} exp(l_ip)) / (1 - tau_plus), exp(-1 / t) )
    h_i = sum_j w_ij exp((1 + beta) l_ij) / sum_j w_ij exp(beta l_ij)

    h_i is the mean of exp(l) over the negatives, each with an importance proportional to exp(beta l), and
    N_i = sum_j w_ij their number. A share tau_plus of what are called negatives is of the anchor's own class; g_i is
    what the true ones would give, and at least what is possible for s >= -1. All is computed in logarithms, so that
    no temperature overflows. The gradient flows through the importance as well, as in the authors' code. With
    tau_plus = beta = 0 this is InfoNCE. Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows); negatives are a sample of everything, so
            whether positives are among them is the sampler's choice. In the papers they are not.
        temperature: t; 0.5 in both papers.
        tau_plus: how probable it is that a negative is of the anchor's class, 1 / classes where these are balanced.
        beta: 0 for the debiased loss; 0.5 to 2 for hard negatives. It multiplies logits, not similarities.
        similarity: s in [-1, 1]; cosine of z by default, so rows need not be of unit length.

    Use: Where a batch holds many samples of few classes, so that negatives often are false. With tau_plus = 0 and
        beta > 0 it only puts weight on hard negatives, smoothly, unlike HardContrastive.

    Cost: O(n m d) time and O((n + m) d) memory, as InfoNCE: one pass over all pairs, a second where beta > 0.

    Parity: no golden case; values and gradients agree with loops over the published equations in float64. The code of
        the hard-negative paper multiplies logits by beta and bounds N g, as here.

    Raises:
        ValueError: if the temperature is not positive, tau_plus is not in [0, 1), or beta is negative.

    Papers: Chuang et al., Debiased Contrastive Learning, NeurIPS 2020, arXiv 2007.00224; Robinson et al., Contrastive
        Learning with Hard Negative Samples, ICLR 2021, arXiv 2010.04592. A row without negatives is dropped, like one
        without positives.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.5,
        tau_plus: float = 0.1,
        beta: float = 0.0,
        similarity: Similarity | None = None,
    ):
        super().__init__()
        if not 0 <= tau_plus < 1:
            raise ValueError(f"tau_plus is the probability of a false negative, in [0, 1), not {tau_plus}.")
        if beta < 0:
            raise ValueError(f"beta must not be negative, as {beta} is: it would prefer easy negatives.")
        self.needs = (pairs,)
        self.pairs, self.tau_plus, self.beta = pairs, tau_plus, beta
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; `at_bound` is the share of rows whose g is the least possible."""
        pairs, temperature = outputs.pairs[self.pairs], self.temperature.fixed
        alike, negatives = pairs.positives & everything, pairs.negatives
        found = pairwise.contrast(pairs, alike, self.similarity, temperature)
        number = pairwise.weight(pairs, negatives)
        valid = (found.weight > 0) & (number > 0)
        own, number = found.denominator[valid], number[valid].log()
        hard = pairwise.logsumexp(pairs, negatives, self.similarity, temperature / (1 + self.beta))[valid]
        if self.beta > 0:
            hard = hard - pairwise.logsumexp(pairs, negatives, self.similarity, temperature / self.beta)[valid]
        else:
            hard = hard - number
        true = self._without_false(hard, own - pairwise.weight(pairs, alike)[valid].log())
        losses = torch.logaddexp(own, number + true) - found.positive[valid]
        rows, at_bound = len(losses), int((true == -1 / temperature).sum())
        scalars = {"at_bound": at_bound / rows} if rows else {}
        return Term(losses.sum() / max(rows, 1), rows, len(valid) - rows, scalars=scalars)

    def _without_false(self, hard: Tensor, own: Tensor) -> Tensor:
        """log g, from log h and the logarithm of the positives' mean."""
        false = own - hard + (math.log(self.tau_plus) if self.tau_plus else -math.inf)
        left = false < 0
        share = torch.log(-torch.expm1(torch.where(left, false, -1.0))) - math.log1p(-self.tau_plus)
        return torch.where(left, hard + share, -math.inf).clamp(min=-1 / self.temperature.fixed)
