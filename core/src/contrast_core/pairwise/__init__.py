"""The engine: statistics of each anchor's row of similarities, exact, differentiable, without an n x m matrix.

With similarities s_ij, temperature t, logits l_ij = s_ij / t and weights w_ij of a relation:

    logsumexp     log sum_j w_ij exp(l_ij)                  two_sided_logsumexp: by rows and by columns in one pass
    weighted_sum  (sum_j w_ij l_ij, sum_j w_ij)          mean: their quotient          weight: the second alone
    softmax_mean  sum_j p_ij f(s_ij), p_ij = w_ij exp(l_ij) / sum_k w_ik exp(l_ik)
    sum_of        sum_j w_ij f(s_ij)
    topk          the k largest s_ij with w_ij > 0, and where they are
    contrast      a log-sum-exp and the mean over the positives together, which most losses are made of
    matrix        all l_ij and w_ij: the explicit dense exit

A temperature is a number, a scalar tensor (which may be learned), a tensor (n, 1) or (1, m), or the name of a column
of the candidates that holds each one's own. A side of tiles may be given; by default small problems are computed
densely, because there plain autograd is faster, and large ones in tiles.
"""

from __future__ import annotations

from contrast_core.pairwise.additive import additive_scores
from contrast_core.pairwise.problem import Temperature, in_tiles
from contrast_core.pairwise.statistics import (
    Contrast,
    contrast,
    logsumexp,
    matrix,
    mean,
    softmax_mean,
    sum_of,
    topk,
    two_sided_contrast,
    two_sided_logsumexp,
    weight,
    weighted_sum,
)

__all__ = [
    "Contrast",
    "Temperature",
    "additive_scores",
    "contrast",
    "in_tiles",
    "logsumexp",
    "matrix",
    "mean",
    "softmax_mean",
    "sum_of",
    "topk",
    "two_sided_contrast",
    "two_sided_logsumexp",
    "weight",
    "weighted_sum",
]
