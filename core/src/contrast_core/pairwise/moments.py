"""The mean logit under a row's own softmax, by hand and in tiles like `kernels`.

With E_ij = exp(l_ij), S_i = sum_j w_ij E_ij, M_i = sum_j w_ij E_ij l_ij / S_i, upstream h_i of log S_i, g_i of M_i:

    dl_ij = w_ij E_ij (alpha_i + beta_i l_ij)      beta_i = g_i / S_i      alpha_i = h_i / S_i + beta_i (1 - M_i)

and with detached weights, where p_ij counts as a constant, beta_i = 0 and alpha_i = (h_i + g_i) / S_i. A logit that is
needed again is the logarithm of a kept E_ij, which costs far less than the product that made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from contrast_core.pairwise.kernels import LOG2E, Kept, exponentials, log_of, powers
from contrast_core.pairwise.plan import Plan, plain
from contrast_core.pairwise.second import differentiable_gradients
from contrast_core.pairwise.tiles import Tile, shaped
from contrast_core.pairwise.workspace import KEPT_BYTES


class Moments(torch.autograd.Function):
    """(log S_i, M_i), (n,) each; -inf and 0, without gradient, where nobody is related. Logits must be small."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, plan: Plan, detached: bool) -> tuple[Tensor, Tensor]:
        """Both sums tile by tile."""
        wanted = any(ctx.needs_input_grad[:2])
        kept = Kept(a, plan, KEPT_BYTES if wanted else 0)

        def work(tiles: Sequence[Tile], thread: int) -> tuple[Tensor, Tensor]:
            sums, moments = a.new_zeros(len(a)), a.new_zeros(len(a))
            buffer, spare = kept.scratch(thread)
            for rows, columns in tiles:
                weights = plan.weights.of(rows, columns)
                # The logit can't be told from a product with a number other than 0 and 1.
                plainly = weights is None or weights.dtype == torch.bool
                place = kept.place(thread, rows, columns) if plainly else None
                place = shaped(buffer, rows, columns) if place is None else place
                logits = shaped(spare, rows, columns)
                tile = powers(a, c, plan, rows, columns, 0.0, place, logits)
                if weights is not None:
                    tile.mul_(plain(weights, tile.dtype))
                sums[rows] += tile.sum(1)
                moments[rows] += logits.mul_(tile).sum(1)
            return sums, moments

        sums, moments = plan.total(work)
        assert sums is not None
        assert moments is not None
        mean = torch.where(sums > 0, moments / sums / LOG2E, 0.0)
        ctx.plan, ctx.kept, ctx.detached = plan, kept, detached
        ctx.save_for_backward(a, c, sums, mean)
        return sums.log(), mean

    @staticmethod
    def backward(ctx: Any, h: Tensor, g: Tensor) -> tuple[Tensor | None, ...]:
        """Finish or recompute each tile and use it for both tables."""
        a, c, sums, mean = ctx.saved_tensors
        plan: Plan = ctx.plan
        plan.weights.refuse_changes()
        if torch.is_grad_enabled():
            return *differentiable_gradients(lambda a, c: _dense(a, c, plan, ctx.detached), (a, c), (h, g)), None, None
        beta = torch.where(sums > 0, g / sums, 0.0)
        alpha = torch.where(sums > 0, h / sums, 0.0) + (beta if ctx.detached else beta * (1 - mean))
        da, dc = _gradients(a, c, plan, (alpha, None if ctx.detached else beta / LOG2E), ctx.needs_input_grad, ctx.kept)
        return da, dc, None, None


def _gradients(
    a: Tensor, c: Tensor, plan: Plan, factors: tuple[Tensor, Tensor | None], wanted: Sequence[bool], kept: Kept
) -> tuple[Tensor | None, Tensor | None]:
    alpha, beta = factors

    def work(tiles: Sequence[Tile], thread: int) -> tuple[Tensor | None, Tensor | None]:
        da, dc = (torch.zeros_like(x) if want else None for x, want in ((a, wanted[0]), (c, wanted[1])))
        buffer, spare = kept.scratch(thread)
        for rows, columns in tiles:
            logits = shaped(spare, rows, columns)
            tile = kept.tiles.pop((rows.start, columns.start), None)
            if tile is not None:
                torch.clamp(tile, min=torch.finfo(tile.dtype).tiny, out=logits).log2_()
            else:
                tile = powers(a, c, plan, rows, columns, 0.0, shaped(buffer, rows, columns), logits)
                if (weights := plan.weights.of(rows, columns)) is not None:
                    tile.mul_(plain(weights, tile.dtype))
            slopes = alpha[rows, None] if beta is None else logits.mul_(beta[rows, None]).add_(alpha[rows, None])
            tile.mul_(slopes)
            if da is not None:
                da[rows].addmm_(tile, c[columns])
            if dc is not None:
                dc[columns].addmm_(tile.T, a[rows])
        return da, dc

    da, dc = plan.total(work)
    return None if da is None else da.mul_(plan.scale), None if dc is None else dc.mul_(plan.scale)


def _dense(a: Tensor, c: Tensor, plan: Plan, detached: bool) -> tuple[Tensor, Tensor]:
    """Both by plain autograd."""
    logits, weights = plan.scale * (a @ c.T), plan.dense(a)
    shares, shift = exponentials(logits, weights, bounded=False)
    total = shares.sum(1)
    share = shares / torch.where(total > 0, total, 1.0)[:, None]
    return log_of(total, shift), ((share.detach() if detached else share) * logits).sum(1)
