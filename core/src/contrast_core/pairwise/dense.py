"""A small problem in one function: below some 2^16 pairs the number of operations counts, not what each costs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from contrast_core.pairwise.kernels import SAFE_EXPONENT, exponentials, largest_logit, log_of
from contrast_core.pairwise.plan import plain
from contrast_core.pairwise.second import differentiable_gradients

Four = tuple[Tensor, Tensor | None, Tensor, Tensor | None]


class DenseContrast(torch.autograd.Function):
    """Log-sums by rows and columns, and sums of positive logits by both: with l = scale a c^T and weights d and p

    log sum_j d_ij exp(l_ij), log sum_i d_ij exp(l_ij), sum_j p_ij l_ij, sum_i p_ij l_ij; by columns None unless `both`
    sides are wanted. `one` says that a and c are one table.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, scale: float, d: Tensor, p: Tensor, both: bool, one: bool) -> Four:
        """All four from one matrix of logits, whose exponentials are kept."""
        logits = torch.mm(a, c.T).mul_(scale)
        attraction = logits * plain(p, logits.dtype)
        sums = attraction.sum(1), attraction.sum(0) if both else None
        shifts: list[Tensor | None] = [None, None]
        # Each side has the shift it needs; none is the fastest.
        if d.dtype == torch.bool and largest_logit(a, c, scale) < SAFE_EXPONENT:
            shares = logits.exp_().mul_(plain(d, logits.dtype))
            other = shares if both else None
        else:
            shares, shifts[0] = exponentials(logits, d, bounded=False)
            other = None
            if both:
                turned, shifts[1] = exponentials(logits.T, d.T, bounded=False)
                other = turned.T
        rows = shares.sum(1)
        columns = None if other is None else other.sum(0)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(a, c, d, p, shares, other, rows, columns)
        ctx.scale, ctx.one = scale, one
        return _log(rows, shifts[0]), None if columns is None else _log(columns, shifts[1]), *sums

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        """One matrix of slopes for both tables."""
        a, c, d, p, shares, other, rows, columns = ctx.saved_tensors
        scale, both = ctx.scale, other is not None
        nothing = (None,) * 5
        if torch.is_grad_enabled():

            def again(a: Tensor, c: Tensor) -> tuple[Tensor | None, ...]:
                return _plainly(scale * (a @ c.T), d, p, both)

            return *differentiable_gradients(again, (a, c), upstream), *nothing
        g, h, by_row, by_column = upstream
        slopes = torch.zeros_like(shares) if g is None else shares * _quotient(g, rows, scale)[:, None]
        if h is not None and other is not None:
            slopes.addcmul_(other, _quotient(h, columns, scale).expand_as(other))
        for sums, side in ((by_row, 1), (by_column, 0)):
            if sums is not None:
                slopes.addcmul_((sums * scale).unsqueeze(side).expand_as(slopes), plain(p, slopes.dtype))
        if ctx.one:
            return slopes.add_(slopes.T.clone()) @ a, None, *nothing
        da, dc = ctx.needs_input_grad[:2]
        return slopes @ c if da else None, slopes.T @ a if dc else None, *nothing


def _log(total: Tensor, shift: Tensor | None) -> Tensor:
    return total.log() if shift is None else total.log().add_(shift)


def _quotient(upstream: Tensor, total: Tensor, scale: float) -> Tensor:
    """scale g / S; the shares of an empty row are 0 whatever this is, as long as it is a number."""
    return (upstream * scale).div_(total.clamp(min=torch.finfo(total.dtype).tiny))


def _plainly(logits: Tensor, d: Tensor, p: Tensor, both: bool) -> tuple[Tensor | None, ...]:
    """The same by plain autograd."""

    def rows(logits: Tensor, weights: Tensor) -> Tensor:
        shares, shift = exponentials(logits, weights, bounded=False)
        return log_of(shares.sum(1), shift)

    attraction = torch.where(p > 0, logits * plain(p, logits.dtype), 0.0)
    columns = (rows(logits.T, d.T), attraction.sum(0)) if both else (None, None)
    return rows(logits, d), columns[0], attraction.sum(1), columns[1]
