"""The contrastive loss on the hardest negatives alone, and losses without a softmax."""

from __future__ import annotations

import math
from typing import final

import torch
from attrs import frozen
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import attraction, average, similarity_or_cosine
from contrast_core.objectives.temperature import LogitScale
from contrast_core.pairs import Pairs
from contrast_core.relations import Relation, everything
from contrast_core.similarity import Similarity


@frozen
class Hardest:
    """Which negatives of an anchor are kept: its `top_k` most similar ones, or a `fraction` of them (rounded, >= 1).

    Exactly so many, also among equals; all of them where there are fewer.

    Raises:
        ValueError: if not exactly one of both is given, top_k < 1, or the fraction is not in (0, 1].
    """

    top_k: int | None
    fraction: float | None

    def __attrs_post_init__(self) -> None:
        if (self.top_k is None) == (self.fraction is None):
            raise ValueError("Say how many negatives are kept, either by top_k or by fraction (of an anchor's).")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is the number of negatives to keep, at least 1, not {self.top_k}.")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ValueError(f"fraction is the share of negatives to keep, in (0, 1], not {self.fraction}.")

    def similarities(self, pairs: Pairs, negatives: Relation, similarity: Similarity) -> Tensor:
        """s of the kept negatives, (n, k), descending, -inf where there is none; the choice has no gradient."""
        if self.top_k is not None:
            return pairwise.topk(pairs, negatives, self.top_k, similarity)[0]
        with torch.no_grad():
            numbers = pairwise.weight(pairs, negatives & everything).double()
            kept = (numbers * (self.fraction or 1.0)).round().clamp(min=1)
        most = int(kept.max()) if len(kept) else 1
        found = pairwise.topk(pairs, negatives, most, similarity)[0]
        return found.masked_fill(torch.arange(most, device=found.device) >= kept[:, None], -math.inf)


@final
class HardContrastive(Objective):
    """InfoNCE with the hardest negatives H_i of each anchor alone; l = s / t.

    L = mean_i [ log( sum_{p in P_i} exp(l_ip) + sum_{j in H_i} exp(l_ij) ) - mean_{p in P_i} l_ip ]

    H_i are the `top_k` most similar negatives of anchor i, or a `fraction` of its negatives (rounded, at least one):
    exactly so many, also among equals, and all where there are fewer. The choice is not differentiated. With
    fraction = 1 this is InfoNCE. Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows); negatives count with weight 1, and a
            candidate that is both is a positive.
        temperature: t.
        top_k: how many negatives to keep, or
        fraction: which share of them; give exactly one of both.
        similarity: s; cosine of z by default, so rows need not be of unit length.

    Use: Where a temperature of 0.3 to 1 is wanted, for tolerance to similar samples, without losing the push on near
        neighbours. The plain loss is about as good at a well-chosen small temperature.

    Cost: O(n m d) time to find the hardest as InfoNCE without its backward pass, then O(n k d) time and memory for k
        kept negatives an anchor: no n x m matrix, but keep k d below what fits.

    Parity: no public code; values and gradients agree to 1e-10 in float64 with a direct evaluation of the published
        equation. The paper keeps what lies above a quantile, which may be more than k among equals.

    Raises:
        ValueError: if the temperature is not positive, or not exactly one of top_k and fraction is given and sensible.

    Paper: Understanding the Behaviour of Contrastive Loss, CVPR 2021, arXiv 2012.09740 (4095 negatives kept).
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.3,
        top_k: int | None = None,
        fraction: float | None = None,
        similarity: Similarity | None = None,
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.hardest = pairs, Hardest(top_k, fraction)
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; rows without positives are dropped and counted."""
        pairs, temperature = outputs.pairs[self.pairs], self.temperature()
        own = pairwise.contrast(pairs, pairs.positives & everything, self.similarity, temperature)
        hard = self.hardest.similarities(pairs, pairs.negatives & ~pairs.positives, self.similarity) / temperature
        # A row of nothing but -inf would have a gradient of NaN.
        valid = own.weight > 0
        denominator = torch.cat([own.denominator[valid, None], hard[valid]], dim=1).logsumexp(1)
        rows = len(denominator)
        value = (denominator - own.positive[valid]).sum() / max(rows, 1)
        return Term(value, rows, len(valid) - rows)


@final
class Simple(Objective):
    """The contrastive loss without a softmax: every negative pushes alike.

    L = mean_i [ -mean_{p in P_i} s_ip + weight sum_{j in N_i} w_ij s_ij ]

    It is the limit of the contrastive loss at an infinite temperature, up to scale. Shapes: anchors (n, d), candidates
    (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows).
        weight: lambda; by default 1 over the number of an anchor's negatives (the sum of their weights w_ij), so that
            push and pull balance as in the contrastive loss. The paper does not state it.
        similarity: s; cosine of z by default, so rows need not be of unit length.

    Use: As a baseline: it shows what hardness awareness adds, and is far worse than InfoNCE in every published table.

    Cost: O((n + m) d) time and memory for cosine or dot products with relations of equal columns, as sums of rows
        suffice; elsewhere one pass over all pairs, as InfoNCE.

    Parity: no public code; values and gradients agree to 1e-10 in float64 with a direct evaluation of the published
        equation, with weight 1.

    Raises:
        ValueError: if the weight is negative.

    Paper: arXiv 2012.09740. A row without negatives is dropped, like one without positives.
    """

    def __init__(self, pairs: str = "pairs", weight: float | None = None, similarity: Similarity | None = None):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.weight = pairs, _not_negative(weight)
        self.similarity = similarity_or_cosine(similarity)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs = outputs.pairs[self.pairs]
        sums, number = pairwise.weighted_sum(pairs, pairs.negatives, self.similarity)
        return _balance(pairs, self.similarity, sums, number, self.weight)


@final
class HardSimple(Objective):
    """The simple loss on the hardest negatives H_i of each anchor alone (see `HardContrastive`).

    L = mean_i [ -mean_{p in P_i} s_ip + weight sum_{j in H_i} s_ij ]

    Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows); negatives count with weight 1.
        top_k: how many negatives to keep, or
        fraction: which share of them; give exactly one of both.
        weight: lambda; by default 1 over the number of negatives that an anchor keeps.
        similarity: s; cosine of z by default, so rows need not be of unit length.

    Use: Where no temperature is to be tuned: choosing hard negatives gives back most of what the softmax does.

    Cost: as HardContrastive.

    Parity: no public code; values agree to 1e-10 in float64 with a direct evaluation of the published equation, with
        weight 1.

    Raises:
        ValueError: if the weight is negative, or not exactly one of top_k and fraction is given and sensible.

    Paper: arXiv 2012.09740. A row without negatives is dropped, like one without positives.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        top_k: int | None = None,
        fraction: float | None = None,
        weight: float | None = None,
        similarity: Similarity | None = None,
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.hardest, self.weight = pairs, Hardest(top_k, fraction), _not_negative(weight)
        self.similarity = similarity_or_cosine(similarity)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs = outputs.pairs[self.pairs]
        hard = self.hardest.similarities(pairs, pairs.negatives, self.similarity)
        kept = hard > -math.inf
        sums = torch.where(kept, hard, 0.0).sum(1)
        return _balance(pairs, self.similarity, sums, kept.sum(1).to(sums.dtype), self.weight)


def _not_negative(weight: float | None) -> float | None:
    if weight is not None and weight < 0:
        raise ValueError(f"The weight of negatives must not be negative, as {weight} is: it would attract them.")
    return weight


def _balance(pairs: Pairs, similarity: Similarity, sums: Tensor, number: Tensor, weight: float | None) -> Term:
    """Mean positive similarity against the negatives' weighted sum."""
    closeness, positives = attraction(pairs, similarity, 1.0)
    push = sums * weight if weight is not None else sums / torch.where(number > 0, number, 1.0)
    return average(push - closeness, (positives > 0) & (number > 0))
