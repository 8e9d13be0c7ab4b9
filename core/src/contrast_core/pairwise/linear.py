"""Sums that are linear in the similarities: sum_j w_ij a_i . c_j = a_i . (sum_j w_ij c_j), no similarity needed.

By a list it costs O(p d), by a pattern O((n + m) d): the rule's sum is one vector, or one for each group. Any other
relation takes a product of weights and candidates for each tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from contrast_core.pairwise.pattern import Pattern
from contrast_core.pairwise.plan import Plan
from contrast_core.pairwise.second import differentiable_gradients
from contrast_core.pairwise.tiles import Tile, buffer_for, shaped, spans

PAIRS_AT_ONCE = 2**13
"""Listed pairs whose rows are copied at one time: in float32 with 128 numbers a row, 4 MB."""


class WeightedSum(torch.autograd.Function):
    """(sum_j w_ij scale a_i . c_j, sum_j w_ij), the second without gradient."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
        """One product of weights and candidates a tile."""

        def work(tiles: Sequence[Tile], _: int) -> tuple[Tensor, Tensor]:
            mixed, total = torch.zeros_like(a), a.new_zeros(len(a))
            buffer = buffer_for(a, plan.rows, plan.columns) if tiles else a
            for rows, columns in tiles:
                weights = plan.matrix(rows, columns, shaped(buffer, rows, columns))
                mixed[rows].addmm_(weights, c[columns])
                total[rows] += weights.sum(1)
            return mixed, total

        mixed, total = plan.total(work)
        assert mixed is not None
        assert total is not None
        mixed.mul_(plan.scale)
        ctx.save_for_backward(a, c, mixed)
        ctx.plan = plan
        ctx.mark_non_differentiable(total)
        return (a * mixed).sum(1), total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """The mixtures are the anchors' gradient; the candidates' takes the weights once more."""
        a, c, mixed = ctx.saved_tensors
        plan: Plan = ctx.plan
        plan.weights.refuse_changes()
        if torch.is_grad_enabled():
            weights = plan.dense(a) * plan.scale
            return *differentiable_gradients(lambda a, c: (weights * (a @ c.T)).sum(1), (a, c), upstream), None
        dc = None
        if ctx.needs_input_grad[1]:
            scaled = a * (upstream * plan.scale)[:, None]

            def work(tiles: Sequence[Tile], _: int) -> tuple[Tensor]:
                part = torch.zeros_like(c)
                buffer = buffer_for(a, plan.rows, plan.columns) if tiles else a
                for rows, columns in tiles:
                    weights = plan.matrix(rows, columns, shaped(buffer, rows, columns))
                    part[columns].addmm_(weights.T, scaled[rows])
                return (part,)

            with torch.autocast(a.device.type, enabled=False):
                (dc,) = plan.total(work)
        return mixed * upstream[:, None] if ctx.needs_input_grad[0] else None, dc, None


class ListedSum(torch.autograd.Function):
    """sum_e w_e a_i(e) . c_j(e) over listed pairs e = (i, j), by anchor, with given weights (p,)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, i: Tensor, j: Tensor, weights: Tensor) -> Tensor:
        """a_i . (sum_e w_e c_j(e)), so that no products of listed rows are kept."""
        ctx.save_for_backward(a, c, i, j, weights)
        ctx.one = a is c
        return torch.einsum("nd,nd->n", a, _mixed(torch.zeros_like(a), c, i, j, weights))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """The same sums from both sides; of one table with itself they are one."""
        a, c, i, j, weights = ctx.saved_tensors
        if torch.is_grad_enabled():

            def dense(a: Tensor, c: Tensor) -> Tensor:
                return a.new_zeros(len(a)).index_add(0, i, (a[i] * c[j]).sum(1) * weights)

            return *differentiable_gradients(dense, (a, c), upstream), None, None, None
        slopes = upstream.index_select(0, i) * weights
        da = _mixed(torch.zeros_like(a), c, i, j, slopes) if ctx.needs_input_grad[0] else None
        if ctx.one:
            assert da is not None
            return _mixed(da, a, j, i, slopes), None, None, None, None
        dc = _mixed(torch.zeros_like(c), a, j, i, slopes) if ctx.needs_input_grad[1] else None
        return da, dc, None, None, None


def _mixed(result: Tensor, rows: Tensor, to: Tensor, of: Tensor, weights: Tensor) -> Tensor:
    """result[to_e] += w_e rows[of_e], some pairs at a time."""
    for some in spans(len(to), PAIRS_AT_ONCE):
        result.index_add_(0, to[some], rows.index_select(0, of[some]).mul_(weights[some, None]))
    return result


class ListedLogits(torch.autograd.Function):
    """a_i(e) . c_j(e), (p,), keeping the two tables and not the listed rows."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """Row-wise products."""
        ctx.save_for_backward(a, c, i, j)
        return (a.index_select(0, i) * c.index_select(0, j)).sum(1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Each listed row of one side, added up by the other's number."""
        a, c, i, j = ctx.saved_tensors
        if torch.is_grad_enabled():

            def dense(a: Tensor, c: Tensor) -> Tensor:
                return (a[i] * c[j]).sum(1)

            return *differentiable_gradients(dense, (a, c), upstream), None, None
        g = upstream[:, None]
        da, dc = (
            torch.zeros_like(x).index_add_(0, at, other.index_select(0, there).mul_(g)) if want else None
            for x, at, other, there, want in (
                (a, i, c, j, ctx.needs_input_grad[0]),
                (c, j, a, i, ctx.needs_input_grad[1]),
            )
        )
        return da, dc, None, None


def listed_logsumexp(logits: Tensor, weights: Tensor, i: Tensor, n: int) -> Tensor:
    """log sum_{e: i(e) = i} w_e exp(l_e) of listed logits, (n,); -inf, without gradient, for a row with none."""
    if weights.dtype != torch.bool:
        logits = logits + torch.where(weights > 0, weights, 1).to(logits.dtype).log()
    known = weights > 0
    if not bool(known.all()):
        logits, i = logits[known], i[known]
    top = logits.new_full((n,), -torch.inf).scatter_reduce(0, i, logits.detach(), "amax")
    top = torch.where(top == -torch.inf, 0.0, top)
    total = logits.new_zeros(n).index_add(0, i, torch.exp(logits - top[i]))
    empty = total == 0
    return (total.masked_fill(empty, 1.0).log() + top).masked_fill(empty, -torch.inf)


def sum_by_rule(a: Tensor, c: Tensor, pattern: Pattern) -> Tensor:
    """sum_j w_ij a_i . c_j of a pattern's rule, exceptions aside, (n,): plain autograd on sums of rows."""
    mixed = _chosen(c, pattern.outside).sum(0, keepdim=True)
    if pattern.inside is not None and pattern.groups is not None:
        by_group = _by_group(_chosen(c, pattern.inside) - _chosen(c, pattern.outside), pattern)
        mixed = mixed + by_group.index_select(0, pattern.groups.anchors.long().clamp(min=-1) + 1)
    return (a * mixed).sum(1)


def weight_by_rule(n: int, m: int, pattern: Pattern, kind: torch.dtype) -> Tensor:
    """sum_j w_ij of a pattern's rule, exceptions aside, (n,)."""
    outside = pattern.outside.expand(m).to(kind)
    total = outside.sum().expand(n)
    if pattern.inside is not None and pattern.groups is not None:
        by_group = _by_group((pattern.inside.expand(m).to(kind) - outside)[:, None], pattern)
        total = total + by_group.index_select(0, pattern.groups.anchors.long().clamp(min=-1) + 1)[:, 0]
    return total


def _chosen(c: Tensor, rule: Tensor) -> Tensor:
    return c * rule.expand(len(c))[:, None] if len(rule) > 1 or not bool(rule.all()) else c


def _by_group(rows: Tensor, pattern: Pattern) -> Tensor:
    """Sums of rows by group, one line later than its number: the first line, of those without a group, stays 0."""
    assert pattern.groups is not None
    groups = pattern.groups.candidates.long()
    numbers = torch.cat([groups, pattern.groups.anchors.long()])
    count = int(numbers.amax()) + 2 if len(numbers) else 1
    kept = rows * (groups >= 0)[:, None]
    return rows.new_zeros((max(count, 1), rows.shape[1])).index_add(0, groups.clamp(min=-1) + 1, kept)
