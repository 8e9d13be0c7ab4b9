"""The hand-written road: cosine and dot products with relations that are not learned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from contrast_core.pairwise.dense import DenseContrast
from contrast_core.pairwise.kernels import LogSumExp
from contrast_core.pairwise.linear import (
    ListedLogits,
    ListedSum,
    WeightedSum,
    listed_logsumexp,
    sum_by_rule,
    weight_by_rule,
)
from contrast_core.pairwise.moments import Moments
from contrast_core.pairwise.pattern import Pattern, pattern_of
from contrast_core.pairwise.plan import Plan
from contrast_core.pairwise.problem import Problem, scaled_tables
from contrast_core.pairwise.tiles import ByPattern, ByRelation, Weights, cuts, order, sorted_by_group
from contrast_core.relations import Block, Product, Relation
from contrast_core.relations.together import weights_of

Three = tuple[Tensor, Tensor, Tensor]
SIDE = 512
"""Side of the tiles of the hand-written path: a float32 tile of 1 MB stays in a core's own cache."""
SIDE_ON_A_GPU = 8192
"""There a tile has to feed thousands of cores."""


def _pattern(problem: Problem) -> Pattern | None:
    """The relation's pattern; not looked for where all pairs are few and one mask is cheaper."""
    if problem.is_small():
        return None
    return pattern_of(problem.relation, problem.anchors, problem.candidates, problem.lists)


def _factored(problem: Problem) -> tuple[Pattern, Relation] | None:
    """The parts of a product of a 0/1 relation, whose pattern only takes pairs away, and of weights."""
    relation = problem.relation
    if problem.is_small() or not isinstance(relation, Product) or relation.differentiable:
        return None
    for mask, weights in ((relation.left, relation.right), (relation.right, relation.left)):
        if mask.binary and not weights.binary:
            pattern = pattern_of(mask, problem.anchors, problem.candidates, problem.lists)
            if pattern is not None and pattern.groups is None and not bool((pattern.weight > 0).any()):
                return pattern, weights
    return None


def _plan(problem: Problem, weights: Callable[[list[slice], list[slice]], Weights], scale: float, sides: str) -> Plan:
    n, m = problem.shape
    side = problem.side or (SIDE if problem.anchors.device.type == "cpu" else SIDE_ON_A_GPU)
    rows, columns = (cuts(length, max(length, 1) if problem.is_small() else side) for length in (n, m))
    # A small problem costs less than the messages that would share it.
    group = None if problem.is_small() else problem.anchors.group or problem.candidates.group
    return Plan(weights(rows, columns), rows, columns, scale, sides, group)


def _plan_by_relation(problem: Problem, scale: float, sides: str) -> Plan:
    """The plan of a relation that has no pattern; one of its factors may have one."""
    anchors, candidates = problem.anchors, problem.candidates
    if (parts := _factored(problem)) is not None:
        mask, factor = parts[0], ByRelation(anchors, candidates, parts[1])
        if sides != "half" or _is_symmetric(mask, problem.shape[1]):
            return _plan(problem, lambda rows, columns: ByPattern(mask, rows, columns, factor), scale, sides)
    weights = ByRelation(anchors, candidates, problem.relation, prepare=not problem.is_small())
    return _plan(problem, lambda *_: weights, scale, sides)


def small_contrast(problem: Problem, positives: Relation, both: bool) -> tuple[Three, Three | None]:
    """(log-sum by the problem's relation, sum of logits and of weights by `positives`) of rows and of columns."""
    a, c, scale = scaled_tables(problem)
    n, m = problem.shape
    with torch.no_grad():
        block = Block.tile(problem.anchors, problem.candidates, slice(0, n), slice(0, m))
        found = weights_of(block, problem.relation, positives)
        # Fractions in the type of the similarities: distances of whole numbers, for example, are float64.
        d, p = ((w.to(problem.kind) if w.is_floating_point() else w).expand(n, m) for w in found)
        totals = [p.sum(side, dtype=problem.kind) for side in (1, 0)[: 1 + both]]
    rows, columns, sums, other_sums = DenseContrast.apply(a, c, scale, d, p, both, c is a)  # type: ignore[no-untyped-call]
    return (rows, sums, totals[0]), (columns, other_sums, totals[1]) if both else None


def logsumexp_by_hand(problem: Problem, sides: str) -> tuple[Tensor, Tensor | None]:
    """log sum_j w_ij exp(l_ij), (n,), and by columns, (m,), if "both" sides are wanted and one pass gives them."""
    a, c, scale = scaled_tables(problem)
    pattern = _pattern(problem)
    if pattern is None:
        plan = _plan_by_relation(problem, scale, _sides(sides, a is c, symmetric=True))
        return LogSumExp.apply(a, c, plan)  # type: ignore[no-untyped-call,no-any-return]
    listed = None
    if (more := _listed(a, c, scale, pattern)) is not None:
        columns = listed_logsumexp(more.logits, more.weight, more.j, len(c)) if sides == "both" else None
        listed = listed_logsumexp(more.logits, more.weight, more.i, len(a)), columns
        if pattern.empty:
            return listed
    sides = _sides(sides, a is c, symmetric=_is_symmetric(pattern, problem.shape[1]))
    a, c, plan, (i, j) = _ordered(problem, a, c, scale, pattern, sides)
    rows, columns = LogSumExp.apply(a, c, plan)  # type: ignore[no-untyped-call]
    rows, columns = _back(rows, i), None if columns is None else _back(columns, j)
    if listed is not None:
        rows = log_add(rows, listed[0])
        columns = None if columns is None or listed[1] is None else log_add(columns, listed[1])
    return rows, columns


def softmax_mean_by_hand(problem: Problem, detached: bool) -> Tensor:
    """sum_j p_ij l_ij with p_ij = w_ij exp(l_ij) / sum_k w_ik exp(l_ik), (n,), for logits up to SAFE_EXPONENT."""
    a, c, scale = scaled_tables(problem)
    pattern = _pattern(problem)
    if pattern is None:
        plan = _plan_by_relation(problem, scale, "rows")
        return Moments.apply(a, c, plan, detached)[1]  # type: ignore[no-untyped-call,no-any-return]
    parts: list[tuple[Tensor, Tensor]] = []
    if (listed := _listed(a, c, scale, pattern)) is not None:
        parts.append(_listed_moments(listed, len(a), detached))
    if not pattern.empty:
        a, c, plan, (by, _) = _ordered(problem, a, c, scale, pattern, "rows")
        log_sum, mean = Moments.apply(a, c, plan, detached)  # type: ignore[no-untyped-call]
        parts.append((_back(log_sum, by), _back(mean, by)))
    if len(parts) == 1:
        return parts[0][1]
    (one, mean), (other, mean_of_others) = parts
    share = torch.exp(one - log_add(one, other)).masked_fill(one == -math.inf, 0.0)
    share = share.detach() if detached else share
    return share * mean + (1 - share) * mean_of_others


def _listed_moments(listed: Listed, n: int, detached: bool) -> tuple[Tensor, Tensor]:
    """(log-sum, mean logit), (n,) each, of listed pairs."""
    log_sum = listed_logsumexp(listed.logits, listed.weight, listed.i, n)
    share = torch.exp(listed.logits - log_sum[listed.i]) * listed.weight.to(listed.logits.dtype)
    share = share.detach() if detached else share
    return log_sum, listed.logits.new_zeros(n).index_add(0, listed.i, share * listed.logits)


Order = tuple[Tensor | None, Tensor | None]


def _ordered(
    problem: Problem, a: Tensor, c: Tensor, scale: float, pattern: Pattern, sides: str
) -> tuple[Tensor, Tensor, Plan, Order]:
    """Tables sorted by the pattern's groups, if it has any, a plan for them, and the order of their rows."""
    if pattern.groups is None:
        return a, c, _plan(problem, lambda *cuts: ByPattern(pattern, *cuts), scale, sides), (None, None)
    by = order(pattern.groups)
    ordered = sorted_by_group(pattern, *by)
    one = c is a and by[1] is by[0]
    a = a.index_select(0, by[0])
    c = a if one else c.index_select(0, by[1])
    return a, c, _plan(problem, lambda *cuts: ByPattern(ordered, *cuts), scale, sides), by


def _back(values: Tensor, order: Tensor | None) -> Tensor:
    """One number a row in the order that the rows had before."""
    return values if order is None else torch.empty_like(values).index_copy(0, order, values)


def _sides(sides: str, one_table: bool, symmetric: bool) -> str:
    return "half" if sides == "rows" and one_table and symmetric else sides


def _is_symmetric(pattern: Pattern, m: int) -> bool:
    """Whether an exception (i, j) is one for (j, i) too, so that half of the tiles see all of them."""
    if not len(pattern.i):
        return True
    return torch.equal((pattern.i * m + pattern.j).sort()[0], (pattern.j * m + pattern.i).sort()[0])


class Listed(NamedTuple):
    """Listed pairs that are related though the rule says no: their rows, weights and logits."""

    i: Tensor
    j: Tensor
    weight: Tensor
    logits: Tensor


def _listed(a: Tensor, c: Tensor, scale: float, pattern: Pattern) -> Listed | None:
    """What a pattern has beyond its rule; None if the rule has all there is."""
    more = pattern.weight > 0
    if not pattern.empty and not bool(more.any()):
        return None
    i, j = pattern.i[more], pattern.j[more]
    return Listed(i, j, pattern.weight[more], ListedLogits.apply(a, c, i, j) * scale)  # type: ignore[no-untyped-call]


def log_add(x: Tensor, y: Tensor) -> Tensor:
    """log(exp(x) + exp(y)), where -inf stands for nothing and has no gradient."""
    nothing = x == -math.inf
    return torch.where(nothing, y, torch.logaddexp(torch.where(nothing, 0.0, x), y))


def weighted_sum_by_hand(problem: Problem) -> tuple[Tensor, Tensor]:
    """(sum_j w_ij l_ij, sum_j w_ij), (n,) each."""
    a, c, scale = scaled_tables(problem)
    pattern = _pattern(problem)
    if pattern is None:
        plan = _plan_by_relation(problem, scale, "rows")
        return WeightedSum.apply(a, c, plan)  # type: ignore[no-untyped-call,no-any-return]
    n, m = problem.shape
    beyond = pattern.beyond(a.dtype)
    total = weight_by_rule(n, m, pattern, a.dtype).index_add(0, pattern.i, beyond)
    sums: Tensor | None = None
    if len(beyond) or pattern.empty:
        sums = ListedSum.apply(a, c, pattern.i, pattern.j, beyond)  # type: ignore[no-untyped-call]
    if not pattern.empty:
        by_rule = sum_by_rule(a, c, pattern)
        sums = by_rule if sums is None else sums + by_rule
    assert sums is not None
    return sums * scale, total


def weight_by_pattern(n: int, m: int, pattern: Pattern, kind: torch.dtype) -> Tensor:
    """sum_j w_ij of a pattern, (n,)."""
    return weight_by_rule(n, m, pattern, kind).index_add(0, pattern.i, pattern.beyond(kind))
