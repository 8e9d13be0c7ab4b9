"""The row statistics; each chooses the cheapest exact road: a list of pairs, hand-written tiles, or blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import NamedTuple

import torch
from attrs import evolve
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.pairwise.apart import apart
from contrast_core.pairwise.by_hand import (
    log_add,
    logsumexp_by_hand,
    small_contrast,
    softmax_mean_by_hand,
    weight_by_pattern,
    weighted_sum_by_hand,
)
from contrast_core.pairwise.generic import by_blocks
from contrast_core.pairwise.kernels import SAFE_EXPONENT, exponentials, largest_logit, log_of
from contrast_core.pairwise.pattern import limit_for, pattern_of
from contrast_core.pairwise.problem import Problem, Temperature, kind_of, problem_of, scaled_tables
from contrast_core.pairwise.tiles import spans
from contrast_core.relations import Relation
from contrast_core.relations.algebra import related
from contrast_core.similarity import Cosine, Rows, Similarity

SMALL_EXPONENT = 20.0
"""Logits within +-20 differ by less than float32 can hold side by side, so no unrelated one can hide the related."""
COSINE = Cosine()


def _without_autocast(anchors: Embeddings) -> AbstractContextManager[object]:
    kind = anchors.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def logsumexp(
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> Tensor:
    """log sum_j w_ij exp(s_ij / t), (n,); -inf, without gradient, for an anchor without related candidates."""
    return _logsumexp(pairs, relation, similarity, temperature, tile, "rows")[0]


def two_sided_logsumexp(
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(log sum_j w_ij exp(s_ij / t), (n,); log sum_i w_ij exp(s_ij / t), (m,)): both directions of CLIP in one pass."""
    rows, columns = _logsumexp(pairs, relation, similarity, temperature, tile, "both")
    if columns is None:
        columns = _logsumexp(pairs.swapped(), relation.transposed(), similarity, temperature, tile, "rows")[0]
    return rows, columns


def _logsumexp(
    pairs: Pairs, relation: Relation, similarity: Similarity, temperature: Temperature, tile: int | None, sides: str
) -> tuple[Tensor, Tensor | None]:
    """The statistic by rows and, where one pass gives it and it is wanted, by columns."""
    if sides == "rows" and (parts := apart(pairs, relation, similarity, temperature)) is not None:
        found = [_logsumexp(part, relation, similarity, temperature, tile, sides)[0] for part in parts]
        return reduce(log_add, found), None
    with _without_autocast(pairs.anchors):
        return _logsumexp_of(problem_of(pairs, relation, similarity, temperature, tile), sides)


def _logsumexp_of(problem: Problem, sides: str) -> tuple[Tensor, Tensor | None]:
    if problem.by_hand():
        return logsumexp_by_hand(problem, sides)

    def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
        shares, shift = exponentials(problem.scaled(similarities, rows), weights, bounded=False)
        return (log_of(shares.sum(1), shift),)

    return by_blocks(problem, statistic)[0], None


def weighted_sum(
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(sum_j w_ij s_ij / t, sum_j w_ij), (n,) each, in one pass."""
    if (parts := apart(pairs, relation, similarity, temperature)) is not None:
        found = [weighted_sum(part, relation, similarity, temperature, tile=tile) for part in parts]
        return _sum(sums for sums, _ in found), _sum(total for _, total in found)
    with _without_autocast(pairs.anchors):
        return _weighted_sum_of(problem_of(pairs, relation, similarity, temperature, tile))


def _weighted_sum_of(problem: Problem) -> tuple[Tensor, Tensor]:
    if problem.by_hand():
        return weighted_sum_by_hand(problem)
    # Without a `listed` of its own a similarity takes listed pairs one by one, which tiles outrun.
    if type(problem.similarity).listed is not Similarity.listed and (found := _short_list(problem)) is not None:
        logits, weights = problem.listed(*found)
        zero = torch.zeros(problem.shape[0], dtype=problem.kind, device=problem.anchors.device)
        total = zero.index_add(0, found[0], weights.to(zero.dtype))
        return zero.index_add(0, found[0], _weighted(logits, weights)), total

    def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        values = problem.scaled(similarities, rows)
        return _weighted(values, weights).sum(1), weights.to(values.dtype).sum(1)

    sums, total = by_blocks(problem, statistic)
    return sums, total


def _short_list(problem: Problem) -> tuple[Tensor, Tensor] | None:
    anchors, candidates = problem.anchors, problem.candidates
    return problem.relation.listed(anchors, candidates, limit=limit_for(anchors, candidates))


class Contrast(NamedTuple):
    """What most objectives are made of, (n,) each.

    Args:
        denominator: log sum_j d_ij exp(l_ij), -inf where nobody is in it.
        positive: sum_j p_ij l_ij / sum_j p_ij, the mean logit of the positives; 0 where there is none.
        weight: sum_j p_ij.
    """

    denominator: Tensor
    positive: Tensor
    weight: Tensor


def contrast(
    pairs: Pairs,
    denominator: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> Contrast:
    """Log-denominator and mean positive logit in one: the tables are prepared once, and so is what relations share."""
    return _contrast(pairs, denominator, similarity, temperature, tile, both=False)[0]


def two_sided_contrast(
    pairs: Pairs,
    denominator: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> tuple[Contrast, Contrast]:
    """The same, (n,), and that of the swapped pairs, (m,), with one pass for both log-denominators."""
    forth, back = _contrast(pairs, denominator, similarity, temperature, tile, both=True)
    if back is None:
        back = contrast(pairs.swapped(), denominator.transposed(), similarity, temperature, tile=tile)
    return forth, back


def _contrast(
    pairs: Pairs, relation: Relation, similarity: Similarity, temperature: Temperature, tile: int | None, *, both: bool
) -> tuple[Contrast, Contrast | None]:
    if not both and (parts := apart(pairs, relation, similarity, temperature)) is not None:
        found = [_contrast(part, relation, similarity, temperature, tile, both=False)[0] for part in parts]
        return _together(found), None
    with _without_autocast(pairs.anchors):
        problem = problem_of(pairs, relation, similarity, temperature, tile)
        positives = evolve(problem, relation=pairs.positives)
        if problem.is_small() and problem.by_hand() and positives.by_hand():
            forth, back = small_contrast(problem, pairs.positives, both)
            return _of(*forth), None if back is None else _of(*back)
        rows, columns = _logsumexp_of(problem, "both" if both else "rows")
        return (
            _of(rows, *_weighted_sum_of(positives)),
            None if columns is None else _of(columns, *_weighted_sum_of(positives.swapped())),
        )


def _together(parts: Sequence[Contrast]) -> Contrast:
    """One contrast with all candidates, of those with some each."""
    denominator = reduce(log_add, [part.denominator for part in parts])
    return _of(denominator, _sum(p.positive * p.weight for p in parts), _sum(p.weight for p in parts))


def _sum(parts: Iterable[Tensor]) -> Tensor:
    """Their sum."""
    return reduce(torch.add, parts)


def _of(denominator: Tensor, sums: Tensor, weight: Tensor) -> Contrast:
    return Contrast(denominator, sums / torch.where(weight > 0, weight, 1.0), weight)


def mean(
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> Tensor:
    """sum_j w_ij s_ij / t over sum_j w_ij, (n,); 0, without gradient, for an anchor without related candidates."""
    sums, total = weighted_sum(pairs, relation, similarity, temperature, tile=tile)
    return sums / torch.where(total > 0, total, 1.0)


def weight(pairs: Pairs, relation: Relation) -> Tensor:
    """sum_j w_ij, (n,), differentiable where the relation is learned; for a 0/1 relation the number of candidates.

    It looks at no similarity, so the tables need no field z.
    """
    anchors, candidates = pairs.anchors, pairs.candidates
    with _without_autocast(anchors):
        relation.check(anchors, candidates)
        nothing = Nothing()
        a, c = nothing.prepare(anchors), nothing.prepare(candidates)
        kind = kind_of(*anchors.fields.values(), *candidates.fields.values())
        problem = Problem(anchors, candidates, relation, nothing, a, c, 1.0, kind, None)
        if (pattern := pattern_of(relation, anchors, candidates)) is not None:
            return weight_by_pattern(len(anchors), len(candidates), pattern, kind)
        return by_blocks(problem, lambda _, weights, rows: (weights.sum(1, dtype=kind),))[0]


def sum_of(
    function: Callable[..., Tensor],
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    *,
    tile: int | None = None,
    rowwise: bool = False,
) -> Tensor:
    """sum_j w_ij f(s_ij), (n,).

    `f` maps a block of similarities (r, m) to one of the same shape. With `rowwise` it is called f(block, rows), where
    the slice `rows` says which anchors the block holds, so that it may use a threshold of each row's own. Where a
    candidate is not related, f may be infinite.
    """
    with _without_autocast(pairs.anchors):
        problem = problem_of(pairs, relation, similarity, 1.0, tile)

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
            seen = _without_gradient_of_unrelated(similarities, weights)
            return (_weighted(function(seen, rows) if rowwise else function(seen), weights).sum(1),)

        return by_blocks(problem, statistic)[0]


def softmax_mean(
    function: Callable[[Tensor], Tensor] | None,
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    detach_weights: bool = False,
    tile: int | None = None,
) -> Tensor:
    """sum_j p_ij f(s_ij) with p_ij = w_ij exp(s_ij / t) / sum_k w_ik exp(s_ik / t), (n,); 0 for an empty row.

    Without a function f(s) = s. With `detach_weights` no gradient flows through p. A negative temperature prefers the
    least similar candidates.
    """
    with _without_autocast(pairs.anchors):
        problem = problem_of(pairs, relation, similarity, temperature, tile)
        bound = largest_logit(*scaled_tables(problem)) if problem.by_hand() and not problem.is_small() else math.inf
        by_row = problem.temperature_by_row()
        if function is None and by_row is not None and bound <= SAFE_EXPONENT:
            return softmax_mean_by_hand(problem, detach_weights) * by_row
        bounded = bound <= SMALL_EXPONENT

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
            shares, _ = exponentials(problem.scaled(similarities, rows), weights, bounded)
            if detach_weights:
                shares = shares.detach()
            total = shares.sum(1)
            values = _without_gradient_of_unrelated(similarities, weights)
            values = torch.where(related(weights), values if function is None else function(values), 0.0)
            return ((shares * values).sum(1) / torch.where(total > 0, total, 1.0),)

        return by_blocks(problem, statistic)[0]


def topk(
    pairs: Pairs, relation: Relation, k: int, similarity: Similarity = COSINE, *, tile: int | None = None
) -> tuple[Tensor, Tensor]:
    """The k largest s_ij among related candidates, descending: values (n, k), differentiable, and indices (n, k).

    Where fewer than k are related, the rest has value -inf and index -1.

    Raises:
        ValueError: if k < 1.
    """
    if k < 1:
        raise ValueError(f"topk needs k >= 1, not {k}.")
    n, m = len(pairs.anchors), len(pairs.candidates)
    with _without_autocast(pairs.anchors):
        problem = problem_of(pairs, relation, similarity, 1.0, tile)
        indices = torch.full((n, k), -1, dtype=torch.long, device=pairs.anchors.device)
        with torch.no_grad():
            prepared = relation.prepared(pairs.anchors, pairs.candidates)
            for rows in spans(n, problem.rows_at_once()):
                similarities = similarity.between(tuple(x[rows] for x in problem.a), problem.c)
                known = related(problem.weights(rows, prepared))
                best, where = torch.where(known, similarities, -math.inf).topk(min(k, m), dim=1)
                indices[rows, : where.shape[1]] = torch.where(best == -math.inf, -1, where)
        i, place = (indices >= 0).nonzero(as_tuple=True)
        found, _ = problem.listed(i, indices[i, place])
        values = found.new_full((n, k), -math.inf).index_put((i, place), found)
    return values, indices


def matrix(
    pairs: Pairs, relation: Relation, similarity: Similarity = COSINE, temperature: Temperature = 1.0
) -> tuple[Tensor, Tensor]:
    """(logits s_ij / t, weights w_ij), (n, m) each: for looking at them and for odd losses; takes O(n m) memory.

    Rows and columns are those of the tables.
    """
    with _without_autocast(pairs.anchors):
        problem = problem_of(pairs, relation, similarity, temperature, None)
        rows = slice(0, len(pairs.anchors))
        logits = problem.scaled(similarity.between(problem.a, problem.c), rows)
        return logits, problem.weights(rows).expand(logits.shape)


class Nothing(Similarity):
    """s = 0: for statistics of the weights alone."""

    def prepare(self, table: Embeddings) -> Rows:
        """A column of n zeros, so that the number of rows is known."""
        return (torch.zeros(len(table), 1, device=table.device),)

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Zeros that take no memory."""
        return a[0].new_zeros(1, 1).expand(len(a[0]), len(c[0]))


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    """values * weights with exact zeros where unrelated, even if the value is infinite there."""
    kept = torch.where(related(weights), values, 0.0)
    return kept if weights.dtype == torch.bool else kept * weights


def _without_gradient_of_unrelated(similarities: Tensor, weights: Tensor) -> Tensor:
    """The same numbers; a function that is infinitely steep at an unrelated one then harms no gradient."""
    return (
        torch.where(related(weights), similarities, similarities.detach())
        if similarities.requires_grad
        else similarities
    )
