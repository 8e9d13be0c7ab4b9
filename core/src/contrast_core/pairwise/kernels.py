"""Hand-written statistics for logits l_ij = a_i . c_j: tiles are formed, used and forgotten, forward and backward.

Saved for backward are only the two tables and one number a row: O((n + m) d). The temperature, the normalisation and
everything else that turns embeddings into `a` and `c` is ordinary autograd outside of these functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from contrast_core.embeddings import Embeddings
from contrast_core.relations import Block, Relation

SAFE_EXPONENT = 40.0
"""exp(+-40) times any number of rows stays far inside float32, so smaller logits need no shift by a maximum."""

Setting = tuple[Embeddings, Embeddings, Relation, int]
"""Anchors and candidates (for their columns), the relation, and the side of a tile."""


def spans(length: int, side: int) -> Iterator[slice]:
    """Consecutive slices of at most `side` that cover range(length)."""
    for start in range(0, length, side):
        yield slice(start, min(start + side, length))


def _weights(setting: Setting, rows: slice, columns: slice) -> Tensor:
    anchors, candidates, relation, _ = setting
    return relation.weigh(Block.tile(anchors, candidates, rows, columns))


def _weigh(tile: Tensor, weights: Tensor) -> Tensor:
    """tile * weights in place; exact zeros even where the tile overflowed."""
    if weights.dtype == torch.bool:
        return tile.masked_fill_(~weights, 0.0)
    return tile.mul_(weights.to(tile.dtype)).masked_fill_(weights == 0, 0.0)


def _largest_logit(a: Tensor, c: Tensor) -> float:
    """An upper bound of |a_i . c_j| by Cauchy and Schwarz."""
    if not len(a) or not len(c):
        return 0.0
    return float(a.norm(dim=1).amax() * c.norm(dim=1).amax())


class LogSumExp(torch.autograd.Function):
    """y_i = log sum_j w_ij exp(a_i . c_j), -inf for a row without related candidates.

    Backward: with p_ij = w_ij exp(a_i . c_j - y_i), da_i = g_i sum_j p_ij c_j and dc_j = sum_i g_i p_ij a_i.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, setting: Setting) -> Tensor:
        """Sums of exponentials by tiles, with a running maximum where logits may be large."""
        side = setting[3]
        result = a.new_empty(len(a))
        bounded = _largest_logit(a, c) <= SAFE_EXPONENT
        for rows in spans(len(a), side):
            total, top = a.new_zeros(rows.stop - rows.start), a.new_zeros(rows.stop - rows.start)
            if not bounded:
                top.fill_(-math.inf)
            for columns in spans(len(c), side):
                logits = a[rows] @ c[columns].T
                weights = _weights(setting, rows, columns)
                if not bounded:
                    logits.masked_fill_(weights == 0, -math.inf)
                    higher = torch.maximum(top, logits.amax(1))
                    # A row may have met no candidate yet; -inf - -inf would be NaN.
                    shift = torch.where(higher == -math.inf, 0.0, higher)
                    total *= torch.exp(top - shift)
                    top = higher
                    logits.sub_(shift[:, None])
                total += _weigh(logits.exp_(), weights).sum(1)
            result[rows] = total.log() + torch.where(top == -math.inf, 0.0, top)
        ctx.save_for_backward(a, c, result)
        ctx.setting = setting
        return result

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Recompute each tile and use it twice."""
        a, c, result = ctx.saved_tensors
        empty = result == -math.inf
        upstream = upstream.masked_fill(empty, 0.0)
        result = result.masked_fill(empty, 0.0)
        da, dc = torch.zeros_like(a), torch.zeros_like(c)
        with torch.autocast(a.device.type, enabled=False):
            for rows in spans(len(a), ctx.setting[3]):
                for columns in spans(len(c), ctx.setting[3]):
                    share = (a[rows] @ c[columns].T).sub_(result[rows, None]).exp_()
                    share = _weigh(share, _weights(ctx.setting, rows, columns)).mul_(upstream[rows, None])
                    if ctx.needs_input_grad[0]:
                        da[rows].addmm_(share, c[columns])
                    if ctx.needs_input_grad[1]:
                        dc[columns].addmm_(share.T, a[rows])
        return da, dc, None


class WeightedSum(torch.autograd.Function):
    """(sum_j w_ij a_i . c_j, sum_j w_ij), the second without gradient."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, setting: Setting) -> tuple[Tensor, Tensor]:
        """a_i . (sum_j w_ij c_j): one product of weights and candidates a tile, no similarities."""
        sums, total = a.new_empty(len(a)), a.new_zeros(len(a))
        for rows in spans(len(a), setting[3]):
            mixed = torch.zeros_like(a[rows])
            for columns in spans(len(c), setting[3]):
                weights = _tile_of(setting, rows, columns, a.dtype)
                mixed.addmm_(weights, c[columns])
                total[rows] += weights.sum(1)
            sums[rows] = (a[rows] * mixed).sum(1)
        ctx.save_for_backward(a, c)
        ctx.setting = setting
        ctx.mark_non_differentiable(total)
        return sums, total

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None]:
        """Recompute the weights of each tile and use them twice."""
        a, c = ctx.saved_tensors
        da, dc = torch.zeros_like(a), torch.zeros_like(c)
        with torch.autocast(a.device.type, enabled=False):
            for rows in spans(len(a), ctx.setting[3]):
                scaled = a[rows] * upstream[rows, None]
                for columns in spans(len(c), ctx.setting[3]):
                    weights = _tile_of(ctx.setting, rows, columns, a.dtype)
                    da[rows].addmm_(weights, c[columns])
                    dc[columns].addmm_(weights.T, scaled)
        return da.mul_(upstream[:, None]), dc, None


def _tile_of(setting: Setting, rows: slice, columns: slice, dtype: torch.dtype) -> Tensor:
    """The weights of a tile as a full matrix of the given type."""
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    return _weights(setting, rows, columns).to(dtype).expand(shape)
