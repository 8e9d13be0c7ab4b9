"""Ranks of held-out items among all items."""

from __future__ import annotations

import torch
from torch import Tensor

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
