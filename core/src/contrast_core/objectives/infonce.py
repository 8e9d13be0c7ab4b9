"""InfoNCE and its decoupled form: a log-denominator minus the mean positive logit."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal, final

import torch

from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import (
    against_everyone,
    against_negatives,
    average,
    mean_weight,
    similarity_or_cosine,
)
from contrast_core.objectives.temperature import LogitScale
from contrast_core.pairs import Pairs
from contrast_core.pairwise import Contrast, Temperature
from contrast_core.similarity import Similarity


class _AgainstPositives(Objective):
    """L = mean_i [ denominator_i - mean_{p in P_i} l_ip ], l = s / t, for any denominator.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows).
        temperature: t.
        learnable_temperature: learn log(1/t).
        maximum_scale: the largest 1/t that learning may reach.
        similarity: s; cosine of z by default, so rows need not be of unit length.
        directions: "both" is the mean of this loss and the same with anchors and candidates exchanged, as in
            CLIP.
        normalise_weights: divide weights of negatives by their row mean over all candidates, so that learned
            weights can't lower the loss by shrinking together.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.1,
        learnable_temperature: bool = False,
        maximum_scale: float = 100.0,
        similarity: Similarity | None = None,
        directions: Literal["one", "both"] = "one",
        normalise_weights: bool = False,
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.directions, self.normalise_weights = pairs, directions, normalise_weights
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature, learnable_temperature, maximum_scale)

    @abstractmethod
    def contrast(self, pairs: Pairs, temperature: Temperature, both: bool) -> list[Contrast]:
        """Log-denominator and mean positive logit, and those of the swapped pairs if `both` directions count."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; rows that lack a positive or a denominator are dropped and counted."""
        pairs = outputs.pairs[self.pairs]
        found = self.contrast(pairs, self.temperature(), self.directions == "both")
        terms = [average(c.denominator - c.positive, (c.weight > 0) & (c.denominator != -math.inf)) for c in found]
        scalars = {**self._mean_weight(pairs), **self.temperature.scalars()}
        value = terms[0].value if len(terms) == 1 else (terms[0].value + terms[1].value) / 2
        return Term(value, sum(t.rows for t in terms), sum(t.dropped for t in terms), scalars=scalars)

    def after_update(self) -> None:
        """Keep the learned temperature within its limit."""
        self.temperature.clamp()

    @torch.no_grad()
    def _mean_weight(self, pairs: Pairs) -> dict[str, float]:
        # Worth a pass over all pairs only where weights can drift, or where they are averaged anyway.
        negatives = pairs.negatives
        if negatives.binary or not (negatives.differentiable or self.normalise_weights):
            return {}
        weights = mean_weight(pairs, negatives)
        return {"weight_mean": float(weights.mean())} if len(weights) else {}


@final
class InfoNCE(_AgainstPositives):
    """InfoNCE, NT-Xent, CLIP and MoCo's loss, by the pairs it is given.

    L = mean_i [ log sum_j d_ij exp(l_ij) - mean_{p in P_i} l_ip ], l_ij = s_ij / t, with d_ij = 1 for a
    positive and w_ij, the negative's weight, otherwise. A candidate that is both positive and negative counts
    as positive, once. Weights of positives share the attraction out and are not in the denominator. See
    `_AgainstPositives` for the arguments. Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Use: The place to start: two views of each sample (`TwoViews`), two modalities (`Cross`, both directions) or a queue
        (`Queue`). Large batches or a queue make up for its weak gradient where negatives are few; see DCL.

    Cost: O(n m d) time and O((n + m) d) memory, in tiles; with all views in one table half of the products, and in
        both directions one pass for the two.

    Parity: NT-Xent of lightly 1.6.0 and of SupContrast, lightly's queue, and the published formulas of InfoNCE in one
        and both directions; values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive, or starts beyond `maximum_scale`.

    Papers: arXiv 1807.03748 (InfoNCE), 2002.05709 (NT-Xent), 1911.05722 (MoCo), 2103.00020 (CLIP, both
        directions).
    MoCo v3 multiplies by 2 t: set the recipe's factor.
    """

    def contrast(self, pairs: Pairs, temperature: Temperature, both: bool) -> list[Contrast]:
        """Positives and negatives."""
        return against_everyone(pairs, self.similarity, temperature, self.normalise_weights, both)


@final
class DCL(_AgainstPositives):
    """Decoupled contrastive loss: negatives alone are in the denominator, which may make it negative.

    L = mean_i [ log sum_j w_ij exp(l_ij) - mean_{p in P_i} l_ip ], over the negatives' relation exactly as it
    is: with the weights of MEOW, or with AdaMEOW's learned ones, which include the anchor's own positive. See
    `_AgainstPositives` for the arguments. Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Use: Instead of InfoNCE in small batches: without the positive in the denominator no easy positive weakens the
        gradient of its negatives. The loss has no lower bound, so choose checkpoints by something else.

    Cost: as InfoNCE.

    Parity: DCLLoss of lightly 1.6.0, which takes the mean of both directions as this does with both views as anchors;
        raminnakhli/Decoupled-Contrastive-Learning, which takes their sum. Values and gradients to 1e-10 in float64;
        that repository masks by adding -103.6, which leaks at temperatures below 0.02, and here nothing does.

    Raises:
        ValueError: if the temperature is not positive, or starts beyond `maximum_scale`.

    Paper: arXiv 2110.06848; MEOW adds the weights. A row without negatives is dropped, like one without
        positives.
    """

    def contrast(self, pairs: Pairs, temperature: Temperature, both: bool) -> list[Contrast]:
        """Negatives only."""
        return against_negatives(pairs, self.similarity, temperature, self.normalise_weights, both)
