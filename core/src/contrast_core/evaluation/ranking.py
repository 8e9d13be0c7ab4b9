"""Ranks of what was looked for, what they are worth, and whether two rankings differ."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Metric = Literal["HR", "Recall", "NDCG", "MRR", "Precision"]

SCORES = 2**19
"""Scores that are in memory at a time."""


def match_ranks(queries: Tensor, candidates: Tensor, wanted: Tensor, keys: Tensor) -> Tensor:
    """The rank of each query's best match among all candidates by inner product, 1 = best: (n,) float64.

        rank_i = 1 + #{j : s_ij > b_i} + #{j : s_ij = b_i} / 2,    b_i = max_{j : keys_j = wanted_i} s_ij

    with j over the candidates that are no match of query i. So candidates that tie with the match have it in their
    middle, and equal scores for all give the middle rank. A query without a match has rank infinity.

    Args:
        queries: (n, d); candidates: (m, d).
        wanted: (n,) int64; keys: (m,) int64, several candidates may share one.
    """
    ranks = torch.empty(len(queries), dtype=torch.float64)
    size = max(1, SCORES // max(1, len(candidates)))
    for rows, keyed, out in zip(queries.split(size), wanted.split(size), ranks.split(size), strict=True):
        out.copy_(score_ranks(rows @ candidates.T, keyed, keys))
    return ranks


def score_ranks(scores: Tensor, wanted: Tensor, keys: Tensor) -> Tensor:
    """The ranks of `match_ranks`, (n,) float64, of scores that were computed in any way.

    Args:
        scores: (n, m), s_ij.
        wanted: (n,) int64; keys: (m,) int64.
    """
    match = wanted[:, None] == keys
    best = scores.masked_fill(~match, -torch.inf).amax(1, keepdim=True)
    scores = scores.masked_fill(match, -torch.inf)
    rank = 1 + (scores > best).sum(1).double() + (scores == best).sum(1).double() / 2
    return rank.masked_fill(~match.any(1), torch.inf)


def gains(ranks: Tensor, metric: Metric, k: int) -> Tensor:
    """What each rank r is worth, (n,) float64; 0 where r > k, else

    HR = Recall = 1,   NDCG = 1 / log2(1 + r),   MRR = 1 / r,   Precision = 1 / k

    which are the usual definitions for one relevant item a query.
    """
    rank = ranks.double()
    match metric:
        case "NDCG":
            worth = 1 / torch.log2(1 + rank)
        case "MRR":
            worth = 1 / rank
        case "Precision":
            worth = torch.full_like(rank, 1 / k)
        case _:
            worth = torch.ones_like(rank)
    return worth * (ranks <= k)


class Difference(NamedTuple):
    """The mean difference of two rankings' gains over queries, and a confidence interval of it."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    first: Tensor, second: Tensor, generator: torch.Generator, *, resamples: int = 2000, level: float = 0.95
) -> Difference:
    """mean_q (first_q - second_q) with its percentile interval over resampled queries (users, in recommendation).

    Args:
        first, second: gains of the same queries, (n,), in the same order.
        generator: draws the queries, with replacement.

    Raises:
        ValueError: if the two are not of the same queries, at least one.
    """
    if first.shape != second.shape or first.dim() != 1 or not len(first):
        raise ValueError(
            f"The gains to compare must be of the same queries, (n,) each, not {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )
    apart = first.double() - second.double()
    means = torch.stack(
        [apart[torch.randint(len(apart), apart.shape, generator=generator)].mean() for _ in range(resamples)]
    )
    tail = (1 - level) / 2
    low, high = means.quantile(torch.tensor([tail, 1 - tail], dtype=means.dtype)).tolist()
    return Difference(float(apart.mean()), low, high)
