"""Decoupled contrastive loss whose positives are weighted by how hard they are."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import against_negatives, similarity_or_cosine
from contrast_core.objectives.temperature import LogitScale
from contrast_core.similarity import Similarity


def von_mises_fisher_weights(similarities: Tensor, sigma: float) -> Tensor:
    """w_i = 2 - exp(s_i / sigma) / mean_j exp(s_j / sigma), (n,), for the similarities s (n,) of positives.

    Their mean is 1; an anchor far from its positive has up to 2, one much closer than the others less than 0.
    """
    return 2.0 - len(similarities) * torch.softmax(similarities / sigma, dim=0)


@final
class DCLW(Objective):
    """DCL with the negative von Mises-Fisher weight on each anchor's positive; l = s / t.

    L = mean_i [ log sum_{j in N_i} w_ij exp(l_ij) - w_i l_i ],  w_i = 2 - exp(s_i / sigma) / mean_k exp(s_k / sigma)

    s_i and l_i = s_i / t are the mean similarity and logit of the positives of anchor i, and the mean over k is that
    of all anchors that count. With both views as anchors (`TwoViews`) each pair stands there twice, with one s, so
    each direction has the weights that it has alone. Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows).
        temperature: t.
        sigma: the larger, the more equal the weights.
        similarity: s; cosine of z by default, so rows need not be of unit length.
        detach_weights: take the weights w_i as constants, as lightly does; without it, as in the public repository,
            the gradient flows through them too.

    Use: As DCL, where some positives are much harder than others (strong augmentation) and should pull more. The gain
        over DCL is small in the paper, and in the public repository's own runs there is none with larger batches.

    Cost: O(n m d) time and O((n + m) d) memory, as InfoNCE; the weights cost O(n).

    Parity: DCLWLoss of lightly 1.6.0, and with detach_weights = false the loss of
        raminnakhli/Decoupled-Contrastive-Learning; values and gradients to 1e-10 in float64. lightly takes the mean of
        both directions, as this does with both views as anchors; the repository their sum: a factor of 2 in a recipe.

    Raises:
        ValueError: if temperature or sigma is not positive.

    Paper: arXiv 2110.06848. A row without negatives is dropped, like one without positives.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.1,
        sigma: float = 0.5,
        similarity: Similarity | None = None,
        detach_weights: bool = True,
    ):
        super().__init__()
        if sigma <= 0:
            raise ValueError(f"sigma must be positive, not {sigma}; 0.5 is usual.")
        self.needs = (pairs,)
        self.pairs, self.sigma, self.detach_weights = pairs, sigma, detach_weights
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; `least_weight` tells whether positives are pushed away (below 0)."""
        pairs = outputs.pairs[self.pairs]
        (found,) = against_negatives(pairs, self.similarity, self.temperature())
        valid = (found.weight > 0) & (found.denominator != -math.inf)
        positive, rows = found.positive[valid], int(valid.sum())
        weights = von_mises_fisher_weights(positive * self.temperature.fixed, self.sigma)
        if self.detach_weights:
            weights = weights.detach()
        losses = found.denominator[valid] - weights * positive
        scalars = {"least_weight": float(weights.detach().min())} if rows else {}
        return Term(losses.sum() / max(rows, 1), rows, len(valid) - rows, scalars=scalars)
