"""The row statistics; each chooses the cheapest exact road: a list of pairs, hand-written tiles, or blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.pairwise.generic import Problem, by_blocks
from contrast_core.pairwise.kernels import LogSumExp, exponentials, largest_logit, log_of
from contrast_core.pairwise.linear import (
    ListedLogits,
    ListedSum,
    WeightedSum,
    listed_logsumexp,
    sum_by_rule,
    weight_by_rule,
)
from contrast_core.pairwise.pattern import Pattern, limit_for, pattern_of
from contrast_core.pairwise.plan import Plan
from contrast_core.pairwise.tiles import ByPattern, ByRelation, Weights, cuts, order, sorted_by_group, spans
from contrast_core.relations import Relation
from contrast_core.relations.algebra import related
from contrast_core.similarity import Cosine, Rows, Similarity

Temperature = float | Tensor | str
SIDE = 512
"""Side of the tiles of the hand-written path: a float32 tile of 1 MB stays in a core's own cache."""
SIDE_ON_A_GPU = 8192
"""There a tile has to feed thousands of cores."""
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
    c = a if candidates is anchors and not similarity.two_sided else similarity.prepare_candidates(candidates)
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


def _scaled(problem: Problem) -> tuple[Tensor, Tensor, float]:
    """Tables and a number whose product is the logit: the temperature goes to whichever side it belongs to."""
    (a, *_), (c, *_) = problem.a, problem.c
    temperature = problem.temperature
    if not isinstance(temperature, Tensor):
        return a, c, 1 / temperature
    if temperature.numel() == 1 and c is a:
        # Half of it to each side keeps one table one.
        root = temperature.reshape(()).abs().rsqrt()
        scaled = a * root
        return scaled, scaled, math.copysign(1.0, float(temperature))
    if temperature.dim() == 2 and temperature.shape[0] == 1:
        return a, c / temperature.T, 1.0
    return a / temperature, c, 1.0


def _without_autocast(anchors: Embeddings) -> torch.autocast:
    return torch.autocast(anchors.device.type, enabled=False)


def _pattern(problem: Problem, *, worth_it: bool) -> Pattern | None:
    """The relation's pattern; not looked for where all pairs are few and one mask is cheaper."""
    if not worth_it and problem.is_small():
        return None
    return pattern_of(problem.relation, problem.anchors, problem.candidates)


def _plan(problem: Problem, weights: Callable[[list[slice], list[slice]], Weights], scale: float, sides: str) -> Plan:
    n, m = problem.shape
    side = problem.side or (SIDE if problem.anchors.device.type == "cpu" else SIDE_ON_A_GPU)
    rows, columns = (cuts(length, max(length, 1) if problem.is_small() else side) for length in (n, m))
    return Plan(weights(rows, columns), rows, columns, scale, sides, getattr(problem.anchors, "group", None))


def _by_relation(problem: Problem) -> Callable[[list[slice], list[slice]], Weights]:
    prepare = not problem.is_small()
    return lambda *_: ByRelation(problem.anchors, problem.candidates, problem.relation, prepare)


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
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, temperature, tile)
        if problem.by_hand():
            return _logsumexp_by_hand(problem, sides)

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
            shares, shift = exponentials(problem.scaled(similarities, rows), weights, bounded=False)
            return (log_of(shares.sum(1), shift),)

        return by_blocks(problem, statistic)[0], None


def _logsumexp_by_hand(problem: Problem, sides: str) -> tuple[Tensor, Tensor | None]:
    a, c, scale = _scaled(problem)
    pattern = _pattern(problem, worth_it=False)
    if pattern is None:
        sides = _sides(sides, a is c, symmetric=True)
        plan = _plan(problem, _by_relation(problem), scale, sides)
        return LogSumExp.apply(a, c, plan)  # type: ignore[no-untyped-call,no-any-return]
    listed = _listed_part(a, c, scale, pattern, both=sides == "both")
    if listed is not None and pattern.empty:
        return listed
    sides = _sides(sides, a is c, symmetric=_is_symmetric(pattern, problem.shape[1]))
    ordered = pattern
    if pattern.groups is not None:
        by = order(pattern.groups)
        ordered = sorted_by_group(pattern, *by)
        one = c is a
        a = a.index_select(0, by[0])
        c = a if one and by[1] is by[0] else c.index_select(0, by[1])
    plan = _plan(problem, lambda *cuts: ByPattern(ordered, *cuts), scale, sides)
    rows, columns = LogSumExp.apply(a, c, plan)  # type: ignore[no-untyped-call]
    if pattern.groups is not None:
        rows = torch.empty_like(rows).index_copy(0, by[0], rows)
        columns = None if columns is None else torch.empty_like(columns).index_copy(0, by[1], columns)
    if listed is not None:
        rows = log_add(rows, listed[0])
        columns = None if columns is None or listed[1] is None else log_add(columns, listed[1])
    return rows, columns


def _sides(sides: str, one_table: bool, symmetric: bool) -> str:
    return "half" if sides == "rows" and one_table and symmetric else sides


def _is_symmetric(pattern: Pattern, m: int) -> bool:
    """Whether an exception (i, j) is one for (j, i) too, so that half of the tiles see all of them."""
    if not len(pattern.i):
        return True
    return torch.equal((pattern.i * m + pattern.j).sort()[0], (pattern.j * m + pattern.i).sort()[0])


def _listed_part(
    a: Tensor, c: Tensor, scale: float, pattern: Pattern, both: bool
) -> tuple[Tensor, Tensor | None] | None:
    """The log-sums over listed pairs that are related though the rule says no; None if the rule has all there is."""
    more = pattern.weight > 0
    if not pattern.empty and not bool(more.any()):
        return None
    i, j, weight = pattern.i[more], pattern.j[more], pattern.weight[more]
    logits = ListedLogits.apply(a, c, i, j) * scale  # type: ignore[no-untyped-call]
    columns = listed_logsumexp(logits, weight, j, len(c)) if both else None
    return listed_logsumexp(logits, weight, i, len(a)), columns


def log_add(x: Tensor, y: Tensor) -> Tensor:
    """log(exp(x) + exp(y)), where -inf stands for nothing and has no gradient."""
    nothing = x == -math.inf
    return torch.where(nothing, y, torch.logaddexp(torch.where(nothing, 0.0, x), y))


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
        if problem.by_hand():
            return _weighted_sum_by_hand(problem)
        # Without a `listed` of its own a similarity takes listed pairs one by one, which tiles outrun.
        if type(similarity).listed is not Similarity.listed and (found := _short_list(pairs, relation)) is not None:
            logits, weights = problem.listed(*found)
            zero = torch.zeros(problem.shape[0], dtype=problem.kind, device=problem.anchors.device)
            total = zero.index_add(0, found[0], weights.to(zero.dtype))
            return zero.index_add(0, found[0], _weighted(logits, weights)), total

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
            values = problem.scaled(similarities, rows)
            return _weighted(values, weights).sum(1), weights.to(values.dtype).sum(1)

        sums, total = by_blocks(problem, statistic)
        return sums, total


def _weighted_sum_by_hand(problem: Problem) -> tuple[Tensor, Tensor]:
    a, c, scale = _scaled(problem)
    pattern = _pattern(problem, worth_it=False)
    if pattern is None:
        sums, total = WeightedSum.apply(a, c, _plan(problem, _by_relation(problem), scale, "rows"))  # type: ignore[no-untyped-call]
        return sums, total
    n, m = problem.shape
    total = _weight_by_pattern(n, m, pattern, a.dtype)
    # What an exception has beyond its rule; the rule's own sum knows nothing of it.
    beyond = pattern.weight.to(a.dtype) - pattern.rule(pattern.i, pattern.j).to(a.dtype)
    sums = None
    if len(beyond) or pattern.empty:
        sums = ListedSum.apply(a, c, pattern.i, pattern.j, beyond)  # type: ignore[no-untyped-call]
    if not pattern.empty:
        by_rule = sum_by_rule(a, c, pattern)
        sums = by_rule if sums is None else sums + by_rule
    return sums * scale, total  # type: ignore[operator]


def _weight_by_pattern(n: int, m: int, pattern: Pattern, kind: torch.dtype) -> Tensor:
    beyond = pattern.weight.to(kind) - pattern.rule(pattern.i, pattern.j).to(kind)
    return weight_by_rule(n, m, pattern, kind).index_add(0, pattern.i, beyond)


def _short_list(pairs: Pairs, relation: Relation) -> tuple[Tensor, Tensor] | None:
    return relation.listed(pairs.anchors, pairs.candidates, limit=limit_for(pairs.anchors, pairs.candidates))


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
        if (pattern := pattern_of(relation, anchors, candidates)) is not None:
            return _weight_by_pattern(len(anchors), len(candidates), pattern, kind)
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
        problem = _problem(pairs, relation, similarity, temperature, tile)
        bounded = _is_bounded(problem)

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
    a, c, scale = _scaled(problem)
    return abs(scale) * largest_logit(a, c) <= SMALL_EXPONENT


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
