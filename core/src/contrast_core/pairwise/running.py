"""The same statistic for logits of any size: a running maximum for each row; softmax weights in the backward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contrast_core.pairwise.plan import Plan, erase, plain
from contrast_core.pairwise.tiles import Tile, buffer_for, shaped


def logits_of(
    a: Tensor, c: Tensor, plan: Plan, rows: slice, columns: slice, tile: Tensor
) -> tuple[Tensor, Tensor | None]:
    """(logits, -inf where unrelated; weights that are no plain 0 or 1, or None) of a tile."""
    torch.addmm(tile, a[rows], c[columns].T, beta=0, alpha=plan.scale, out=tile)
    weights, places = plan.weights.of(rows, columns), plan.weights.exceptions(rows, columns)
    if places is not None:
        erase(tile, places, -math.inf)
    if weights is not None:
        torch.where(weights > 0, tile, tile.new_tensor(-math.inf), out=tile)
    return tile, None if weights is None or weights.dtype == torch.bool else plain(weights, tile.dtype)


def running_logsumexp(a: Tensor, c: Tensor, plan: Plan) -> Tensor:
    """log sum_j w_ij exp(l_ij), (n,)."""

    def work(tiles: Sequence[Tile], _: int) -> tuple[Tensor, Tensor]:
        total, top = a.new_zeros(len(a)), a.new_full((len(a),), -math.inf)
        buffer = buffer_for(a, plan.rows, plan.columns) if tiles else a
        for rows, columns in tiles:
            logits, weights = logits_of(a, c, plan, rows, columns, shaped(buffer, rows, columns))
            higher = torch.maximum(top[rows], logits.amax(1))
            # A row may have met no candidate yet; -inf - -inf would be NaN.
            shift = torch.where(higher == -math.inf, 0.0, higher)
            shares = logits.sub_(shift[:, None]).exp_()
            if weights is not None:
                shares.mul_(weights)
            total[rows] = total[rows] * torch.exp(top[rows] - shift) + shares.sum(1)
            top[rows] = higher
        return total, top

    found = plan.shared(work)
    if plan.group is None and len(found) == 1:
        total, top = found[0]
        return total.log() + torch.where(top == -math.inf, 0.0, top)
    top = torch.stack([each[1] for each in found]).amax(0)
    if plan.group is not None:
        torch.distributed.all_reduce(top, torch.distributed.ReduceOp.MAX, group=plan.group)
    shift = torch.where(top == -math.inf, 0.0, top)
    total = torch.stack([sums * torch.exp(high - shift) for sums, high in found]).sum(0)
    plan.summed(total)
    return total.log() + shift


def running_gradients(
    a: Tensor, c: Tensor, plan: Plan, result: Tensor, upstream: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """(da, dc) by p_ij = w_ij exp(l_ij - y_i): da_i = g_i sum_j p_ij c_j and dc_j = sum_i g_i p_ij a_i, times scale."""
    empty = result == -math.inf
    upstream = upstream.masked_fill(empty, 0.0)[:, None] * plan.scale
    result = result.masked_fill(empty, 0.0)[:, None]
    weighted = a * upstream

    def work(tiles: Sequence[Tile], _: int) -> tuple[Tensor | None, Tensor | None]:
        da, dc = (torch.zeros_like(x) if want else None for x, want in ((a, wanted[0]), (c, wanted[1])))
        buffer = buffer_for(a, plan.rows, plan.columns) if tiles else a
        for rows, columns in tiles:
            logits, weights = logits_of(a, c, plan, rows, columns, shaped(buffer, rows, columns))
            shares = logits.sub_(result[rows]).exp_()
            if weights is not None:
                shares.mul_(weights)
            if da is not None:
                da[rows].addmm_(shares, c[columns])
            if dc is not None:
                dc[columns].addmm_(shares.T, weighted[rows])
        return da, dc

    da, dc = plan.total(work)
    return None if da is None else da.mul_(upstream), dc
