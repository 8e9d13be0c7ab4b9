"""The row statistics; each chooses the cheapest exact road: a list of pairs, hand-written tiles, or blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.pairwise.generic import Problem, by_blocks
from contrast_core.pairwise.kernels import (
    ListedSum,
    LogSumExp,
    WeightedSum,
    exponentials,
    largest_logit,
    log_of,
)
from contrast_core.pairwise.tiles import spans
from contrast_core.relations import Relation
from contrast_core.relations.algebra import related
from contrast_core.similarity import Cosine, Rows, Similarity

Temperature = float | Tensor | str
SIDE = 512
"""Side of the tiles of the hand-written path: a float32 tile of 1 MB stays in a core's own cache."""
SMALL_EXPONENT = 20.0
"""Logits within +-20 differ by less than float32 can hold side by side, so no unrelated one can hide the related."""
COSINE = Cosine()


def _problem(
    pairs: Pairs, relation: Relation, similarity: Similarity, temperature: Temperature, tile: int | None
) -> Problem:
    anchors, candidates = pairs.anchors, pairs.candidates
    if tile is not None and tile < 1:
        raise ValueError(f"A tile has a side of at least 1, not {tile}.")
    relation.check(anchors, candidates)
    similarity.check(anchors, candidates)
    a = similarity.prepare(anchors)
    c = a if candidates is anchors else similarity.prepare(candidates)
    # Reductions are computed in float32 or better, and in the wider type of both sides.
    kind = _kind(*a, *c)
    a, c = (tuple(x.to(kind) if x.is_floating_point() else x for x in rows) for rows in (a, c))
    temperature = _temperature(pairs, temperature, kind)
    return Problem(anchors, candidates, relation, similarity, a, c, temperature, kind, tile)


def _kind(*tensors: Tensor) -> torch.dtype:
    kind = torch.float32
    for tensor in tensors:
        if tensor.is_floating_point():
            kind = torch.promote_types(kind, tensor.dtype)
    return kind


def _temperature(pairs: Pairs, temperature: Temperature, kind: torch.dtype) -> float | Tensor:
    n, m = len(pairs.anchors), len(pairs.candidates)
    if isinstance(temperature, str):
        if temperature not in pairs.candidates:
            have = ", ".join(pairs.candidates.columns) or "none"
            raise ValueError(
                f"The temperature is the column '{temperature}', which the candidates lack; they have {have}."
            )
        temperature = pairs.candidates[temperature].reshape(1, -1)
    if not isinstance(temperature, Tensor):
        if temperature == 0 or math.isnan(temperature):
            raise ValueError(f"A temperature is a number other than 0, not {temperature}.")
        return temperature
    shape = tuple(temperature.shape)
    if temperature.dim() == 0:
        return temperature.to(kind)
    if shape not in ((n, 1), (1, m), (1, 1)):
        raise ValueError(f"A temperature is a scalar, ({n}, 1) or (1, {m}) here, not of shape {shape}.")
    return temperature.to(kind)


def _scaled_rows(problem: Problem) -> tuple[Tensor, Tensor]:
    """Tables whose inner products are the logits: the temperature goes to whichever side it belongs to."""
    (a, *_), (c, *_) = problem.a, problem.c
    temperature = problem.temperature
    if isinstance(temperature, Tensor) and temperature.dim() == 2 and temperature.shape[0] == 1:
        return a, c / temperature.T
    return a / temperature, c


def _without_autocast(anchors: Embeddings) -> torch.autocast:
    return torch.autocast(anchors.device.type, enabled=False)


def logsumexp(
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> Tensor:
    """log sum_j w_ij exp(s_ij / t), (n,); -inf, without gradient, for an anchor without related candidates."""
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, temperature, tile)
        if problem.by_hand():
            result: Tensor = LogSumExp.apply(*_scaled_rows(problem), problem.tiles(SIDE))  # type: ignore[no-untyped-call]
            return result
        bounded = _is_bounded(problem)

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
            shares, shift = exponentials(problem.scaled(similarities, rows), weights, bounded)
            return (log_of(shares.sum(1), shift),)

        return by_blocks(problem, statistic)[0]


def weighted_sum(
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(sum_j w_ij s_ij / t, sum_j w_ij), (n,) each, in one pass."""
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, temperature, tile)
        # Without a `listed` of its own a similarity takes listed pairs one by one, which tiles outrun.
        if type(similarity).listed is not Similarity.listed and (found := _short_list(pairs, relation)) is not None:
            return _listed_sum(problem, *found)
        if problem.by_hand():
            sums, total = WeightedSum.apply(*_scaled_rows(problem), problem.tiles(SIDE))  # type: ignore[no-untyped-call]
            return sums, total

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
            values = problem.scaled(similarities, rows)
            return _weighted(values, weights).sum(1), weights.to(values.dtype).sum(1)

        sums, total = by_blocks(problem, statistic)
        return sums, total


def _short_list(pairs: Pairs, relation: Relation) -> tuple[Tensor, Tensor] | None:
    limit = 4 * (len(pairs.anchors) + len(pairs.candidates))
    return relation.listed(pairs.anchors, pairs.candidates, limit=limit)


def _listed_sum(problem: Problem, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor]:
    zero = torch.zeros(problem.shape[0], dtype=problem.kind, device=problem.anchors.device)
    if problem.by_hand():
        weights = problem.listed_weights(i, j).to(zero.dtype)
        sums: Tensor = ListedSum.apply(*_scaled_rows(problem), i, j, weights)  # type: ignore[no-untyped-call]
    else:
        logits, weights = problem.listed(i, j)
        sums = zero.index_add(0, i, _weighted(logits, weights))
        weights = weights.to(zero.dtype)
    return sums, zero.index_add(0, i, weights)


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
        kind = _kind(*anchors.fields.values(), *candidates.fields.values())
        problem = Problem(anchors, candidates, relation, nothing, a, c, 1.0, kind, None)
        if (found := _short_list(pairs, relation)) is not None:
            zero = torch.zeros(len(anchors), dtype=kind, device=anchors.device)
            return zero.index_add(0, found[0], problem.listed_weights(*found).to(kind))
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
        problem = _problem(pairs, relation, similarity, 1.0, tile)

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
            seen = _without_gradient_of_unrelated(similarities, weights)
            return (_weighted(function(seen, rows) if rowwise else function(seen), weights).sum(1),)

        return by_blocks(problem, statistic)[0]


def softmax_mean(
    function: Callable[[Tensor], Tensor],
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> Tensor:
    """sum_j p_ij f(s_ij) with p_ij = w_ij exp(s_ij / t) / sum_k w_ik exp(s_ik / t), (n,); 0 for an empty row.

    A negative temperature prefers the least similar candidates.
    """
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, temperature, tile)
        bounded = _is_bounded(problem)

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
            shares, _ = exponentials(problem.scaled(similarities, rows), weights, bounded)
            total = shares.sum(1)
            values = function(_without_gradient_of_unrelated(similarities, weights))
            values = torch.where(related(weights), values, 0.0)
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
        problem = _problem(pairs, relation, similarity, 1.0, tile)
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
        problem = _problem(pairs, relation, similarity, temperature, None)
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


def _is_bounded(problem: Problem) -> bool:
    """Whether no unrelated logit can be so large that exponentials relative to it lose the related ones."""
    if not problem.similarity.bilinear or problem.is_small():
        return False
    return largest_logit(*_scaled_rows(problem)) <= SMALL_EXPONENT


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
