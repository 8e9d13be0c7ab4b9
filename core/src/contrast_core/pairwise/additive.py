"""Additive scores: a small network of two rows, hand-written because a learned relation evaluates it n x m times."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from contrast_core.pairwise.second import differentiable_gradients

SAFE_SUM = 40.0
"""exp(2 x) of |x| up to this, and the product of two of them, stay inside float32."""


def additive_scores(a: Tensor, c: Tensor, v: Tensor) -> Tensor:
    """e = sum_h v_h tanh(a_h + c_h): the second layer of a network whose first layer is split between two rows.

    Args:
        a: projected anchors (..., h); broadcasts against `c`, as tiles (r, 1, h) do.
        c: projected candidates (..., h), one of the two with the first layer's bias.
        v: the weights of the second layer, (h,).

    Returns:
        Scores (...). For tiles nothing of size (r, c, h) is ever in memory.
    """
    if a.dim() == 3 and c.dim() == 3 and a.shape[1] == 1 and c.shape[0] == 1:
        result: Tensor = _Tile.apply(a[:, 0], c[0], v)  # type: ignore[no-untyped-call]
        return result
    return torch.tanh(a + c) @ v


class _Tile(torch.autograd.Function):
    """Scores of r anchors and k candidates, one hidden unit at a time.

    With u = exp(2 a) and w = exp(2 c), tanh(a + c) = 1 - 2 / (1 + u w): exponentials of rows instead of a tanh of
    every pair, which takes ten times as long as the division. The slope is 4 q (1 - q) with q = 1 / (1 + u w).
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, v: Tensor) -> Tensor:
        """Sums over hidden units in one buffer."""
        kind = v.dtype if v.dtype == torch.float64 else a.dtype
        a, c, v = a.to(kind), c.to(kind), v.to(kind)
        ctx.save_for_backward(a, c, v)
        ctx.safe = _is_safe(a, c)
        scores = v.sum().expand(len(a), len(c)).contiguous()
        buffer = torch.empty_like(scores)
        for ours, theirs, weight in zip(_halves(a, ctx.safe), _halves(c, ctx.safe), v.tolist(), strict=True):
            scores.add_(_quotient(ours, theirs, buffer, ctx.safe), alpha=-2 * weight)
        return scores

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Recompute each hidden unit and add up its slope by rows and by columns."""
        a, c, v = ctx.saved_tensors
        if torch.is_grad_enabled():
            return differentiable_gradients(_dense, (a, c, v), upstream)
        da, dc, dv = torch.empty_like(a), torch.empty_like(c), torch.empty_like(v)
        upstream = upstream.contiguous()
        whole, buffer, slope = upstream.sum(), torch.empty_like(upstream), torch.empty_like(upstream)
        ones_a, ones_c = a.new_ones(len(a)), c.new_ones(len(c))
        units = zip(_halves(a, ctx.safe), _halves(c, ctx.safe), v.tolist(), strict=True)
        for h, (ours, theirs, weight) in enumerate(units):
            quotient = _quotient(ours, theirs, buffer, ctx.safe)
            torch.mul(quotient, upstream, out=slope)
            dv[h] = whole - 2 * slope.sum()
            # q - q^2 rather than q (1 - q): one pass, and the same to the last digit or two.
            slope.addcmul_(slope, quotient, value=-1)
            da[:, h] = 4 * weight * (slope @ ones_c)
            dc[:, h] = 4 * weight * (ones_a @ slope)
        return da, dc, dv


def _dense(a: Tensor, c: Tensor, v: Tensor) -> Tensor:
    return torch.tanh(a[:, None] + c) @ v


def _is_safe(a: Tensor, c: Tensor) -> bool:
    largest = [float(x.abs().amax()) if x.numel() else 0.0 for x in (a, c)]
    return 2 * max(largest) <= SAFE_SUM


def _halves(rows: Tensor, safe: bool) -> tuple[Tensor, ...]:
    # Each unit's column by itself and contiguous.
    return (torch.exp(2 * rows) if safe else rows).T.contiguous().unbind(0)


def _quotient(ours: Tensor, theirs: Tensor, buffer: Tensor, safe: bool) -> Tensor:
    """1 / (1 + exp(2 (a + c))) in the buffer."""
    if safe:
        return torch.mul(ours[:, None], theirs, out=buffer).add_(1).reciprocal_()
    return torch.add(ours[:, None], theirs, out=buffer).mul_(-2).sigmoid_()
