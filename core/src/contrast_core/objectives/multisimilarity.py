"""Multi-similarity loss."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import average, similarity_or_cosine
from contrast_core.pairs import Pairs
from contrast_core.similarity import Similarity, WeightedSum


@final
class MultiSimilarity(Objective):
    """Pulls and pushes with soft weights of all of an anchor's pairs.

    L_i = (1/alpha) log(1 + sum_P e^{-alpha (s_ip - base)}) + (1/beta) log(1 + sum_N e^{beta (s_in - base)}).

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows).
        alpha: sharpness of the pull.
        beta: sharpness of the push.
        base: lambda, the similarity that pairs are measured against.
        similarity: s; cosine of z by default.
        epsilon: if given, the paper's miner: keep a negative if s_in > min_P s_ip - epsilon and a positive if
            s_ip < max_N s_in + epsilon (0.1 there). pytorch-metric-learning's loss alone has no miner, as by
            default here.

    An anchor with only one kind of pair counts with the half it has, as published; one with none is dropped.

    Use: With labels in metric learning, where both far positives and near negatives should weigh more, each by a
        sharpness of its own.

    Cost: O(n m d) time and O((n + m) d) memory: two log-sum-exps, twice InfoNCE; with the miner two searches more,
        through the slower generic blocks.

    Parity: MultiSimilarityLoss of pytorch-metric-learning 2.9.0, which has no miner, values and gradients to 1e-10 in
        float64; the miner agrees with plain loops over the paper's rule.

    Raises:
        ValueError: if alpha or beta is not positive.

    Paper: Wang et al., Multi-Similarity Loss with General Pair Weighting, CVPR 2019 (arXiv 1904.06627).
    """

    def __init__(
        self,
        pairs: str = "pairs",
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        similarity: Similarity | None = None,
        epsilon: float | None = None,
    ):
        super().__init__()
        if alpha <= 0 or beta <= 0:
            raise ValueError(f"alpha and beta must be positive, not {alpha} and {beta}.")
        self.needs = (pairs,)
        self.pairs, self.alpha, self.beta, self.base, self.epsilon = pairs, alpha, beta, base, epsilon
        self.similarity = similarity_or_cosine(similarity)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs = outputs.pairs[self.pairs]
        pull, push = self._all(pairs) if self.epsilon is None else self._mined(pairs, self.epsilon)
        # log(1 + e^x); softplus would round to x from 20 on.
        zero = torch.zeros_like(pull)
        losses = torch.logaddexp(pull, zero) / self.alpha + torch.logaddexp(push, zero) / self.beta
        return average(losses, (pull != -math.inf) | (push != -math.inf))

    def _all(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Log-sums of the exponentials of all pairs, (n,) each."""
        pull = pairwise.logsumexp(pairs, pairs.positives, self.similarity, -1 / self.alpha)
        push = pairwise.logsumexp(pairs, pairs.negatives, self.similarity, 1 / self.beta)
        return pull + self.alpha * self.base, push - self.beta * self.base

    def _mined(self, pairs: Pairs, epsilon: float) -> tuple[Tensor, Tensor]:
        """The same of the pairs that the miner keeps."""
        with torch.no_grad():
            least = -pairwise.topk(pairs, pairs.positives, 1, WeightedSum((self.similarity,), (-1.0,)))[0]
            most = pairwise.topk(pairs, pairs.negatives, 1, self.similarity)[0]

        def pull(s: Tensor, rows: slice) -> Tensor:
            return torch.where(s < most[rows] + epsilon, torch.exp(-self.alpha * (s - self.base)), 0.0)

        def push(s: Tensor, rows: slice) -> Tensor:
            return torch.where(s > least[rows] - epsilon, torch.exp(self.beta * (s - self.base)), 0.0)

        sides = ((pull, pairs.positives), (push, pairs.negatives))
        sums = [pairwise.sum_of(f, pairs, relation, self.similarity, rowwise=True) for f, relation in sides]
        first, second = (torch.where(x > 0, torch.where(x > 0, x, 1.0).log(), -math.inf) for x in sums)
        return first, second
