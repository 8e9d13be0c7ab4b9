"""Statistics for any similarity and any relation, learned ones too: blocks of rows recomputed by autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from contrast_core.pairwise.problem import Problem
from contrast_core.pairwise.tiles import spans
from contrast_core.similarity import Rows

Statistic = Callable[[Tensor, Tensor, slice], tuple[Tensor, ...]]
"""From a block's similarities (r, m), weights (r, m) and rows to tensors with one entry a row."""


def by_blocks(problem: Problem, statistic: Statistic) -> tuple[Tensor, ...]:
    """The statistic of every row; a block's intermediate values live only while it is computed."""
    n, m = problem.shape
    relation = problem.relation
    if not problem.is_small():
        with torch.set_grad_enabled(torch.is_grad_enabled() and relation.differentiable):
            relation = relation.prepared(problem.anchors, problem.candidates)

    def compute(rows: slice, a: Rows) -> tuple[Tensor, ...]:
        similarities = problem.similarity.between(a, problem.c)
        weights = problem.weights(rows, relation)
        return statistic(similarities, weights.expand(rows.stop - rows.start, m), rows)

    if problem.is_small() or not n:
        return compute(slice(0, n), problem.a)
    parts = []
    # One split has one gradient for all blocks; a slice for each block would add up n x d zeros every time.
    for rows, a in zip(spans(n, side := problem.rows_at_once()), _split(problem.a, side), strict=True):
        parts.append(
            cast(
                "tuple[Tensor, ...]",
                checkpoint(compute, rows, a, use_reentrant=False, preserve_rng_state=False),
            )
            if torch.is_grad_enabled()
            else compute(rows, a)
        )
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _split(rows: Rows, side: int) -> Sequence[Rows]:
    return list(zip(*(tensor.split(side) for tensor in rows), strict=True))
