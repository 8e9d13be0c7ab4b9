"""The pairwise sigmoid loss of SigLIP."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import average, similarity_or_cosine
from contrast_core.objectives.temperature import LogitScale
from contrast_core.similarity import Similarity


@final
class Sigmoid(Objective):
    """Every pair is a decision of its own, same or different: no softmax over the batch.

    L = mean_i [ sum_{p in P_i} v_ip log(1 + exp(-x_ip)) + sum_{j in N_i} w_ij log(1 + exp(x_ij)) ],  x = s / t + b

    v and w are the relations' weights, usually 1. Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows); a candidate that is both is a positive.
        temperature: t at the start.
        bias: b at the start. Negatives outnumber positives by far; without a bias below 0 the first steps only undo
            that.
        learnable: learn log(1/t) and b, without limits.
        similarity: s; cosine of z by default, so rows need not be of unit length.

    Use: Between two modalities (`Cross`) instead of InfoNCE in both directions, from small batches to very large ones,
        or where an anchor has any number of positives. Few steps at a high learning rate may not move t and b enough.

    Cost: O(n m d) time, two passes over all pairs; O((n + m) d) memory and no n x m matrix. InfoNCE in both directions
        takes one pass, by the hand-written road.

    Parity: no golden case; values and gradients agree with loops over the published equation in float64. The authors'
        code takes the sum over candidates and the mean over anchors too.

    Raises:
        ValueError: if the temperature is not positive.

    Paper: Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023, arXiv 2303.15343. Rows without a
        positive are dropped, though they could push; in the paper there are none.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 0.1,
        bias: float = -10.0,
        learnable: bool = True,
        similarity: Similarity | None = None,
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs = pairs
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature, learnable, math.inf)
        self.bias = nn.Parameter(torch.tensor(float(bias)), requires_grad=learnable)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; rows without positives are dropped and counted."""
        pairs, temperature, bias = outputs.pairs[self.pairs], self.temperature(), self.bias

        def of_positives(similarities: Tensor) -> Tensor:
            return -logsigmoid(similarities / temperature + bias)

        def of_negatives(similarities: Tensor) -> Tensor:
            return -logsigmoid(-(similarities / temperature + bias))

        pull = pairwise.sum_of(of_positives, pairs, pairs.positives, self.similarity)
        push = pairwise.sum_of(of_negatives, pairs, pairs.negatives * ~pairs.positives, self.similarity)
        scalars = {**self.temperature.scalars(), "bias": float(bias.detach())}
        return average(pull + push, pairwise.weight(pairs, pairs.positives) > 0, **scalars)
