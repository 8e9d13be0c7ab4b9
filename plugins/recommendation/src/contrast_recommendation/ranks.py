"""Ranks of held-out items among all items, what they are worth, and whether two rankings differ."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Metric = Literal["HR", "Recall", "NDCG", "MRR", "Precision"]

SCORES = 2**19
"""Scores that are in memory at a time."""


def target_ranks(
    queries: Tensor, items: Tensor, targets: Tensor, removed: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """The rank of each query's target among all items by dot product, 1 = best: (n,) int64.

        rank_i = #{j : <q_i, e_j> >= <q_i, e_t(i)>}

    Ties count against the target, so equal scores for all items give the worst rank, not the best.

    Args:
        queries: (n, d); items: (m, d), padding not among them.
        targets: (n,) int64, rows of items.
        removed: rows of queries, not decreasing, and of items, one pair each: items that do not compete. Never the
            target.
    """
    ranks = torch.empty(len(queries), dtype=torch.int64)
    size = max(1, SCORES // max(1, len(items)))
    ends = None if removed is None else torch.searchsorted(removed[0], torch.arange(0, len(queries) + size, size))
    for number, (rows, wanted, out) in enumerate(
        zip(queries.split(size), targets.split(size), ranks.split(size), strict=True)
    ):
        scores = rows @ items.T
        bar = scores.gather(1, wanted[:, None])
        if removed is not None and ends is not None:
            some = slice(int(ends[number]), int(ends[number + 1]))
            scores[removed[0][some] - number * size, removed[1][some]] = -torch.inf
            scores.scatter_(1, wanted[:, None], bar)
        out.copy_((scores >= bar).sum(1))
    return ranks


def gains(ranks: Tensor, metric: Metric, k: int) -> Tensor:
    """What each rank r is worth, (n,) float64; 0 where r > k, else

    HR = Recall = 1,   NDCG = 1 / log2(1 + r),   MRR = 1 / r,   Precision = 1 / k

    which are the usual definitions for one relevant item a user.
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
    """The mean difference of two rankings' gains over users, and a confidence interval of it."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    first: Tensor, second: Tensor, generator: torch.Generator, *, resamples: int = 2000, level: float = 0.95
) -> Difference:
    """mean_u (first_u - second_u) with its percentile interval over resampled users.

    Args:
        first, second: gains of the same users, (n,), in the same order.
        generator: draws the users, with replacement.

    Raises:
        ValueError: if the two are not of the same, non-empty users.
    """
    if first.shape != second.shape or first.dim() != 1 or not len(first):
        raise ValueError(
            f"The gains to compare must be of the same users, (n,) each, not {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )
    apart = first.double() - second.double()
    means = torch.stack(
        [apart[torch.randint(len(apart), apart.shape, generator=generator)].mean() for _ in range(resamples)]
    )
    tail = (1 - level) / 2
    low, high = means.quantile(torch.tensor([tail, 1 - tail], dtype=means.dtype)).tolist()
    return Difference(float(apart.mean()), low, high)
