"""Hand-written statistics for logits l_ij = a_i . c_j: tiles are formed, used and forgotten, forward and backward.

Saved for backward are only a few tables and one number a row: O((n + m) d). The temperature, the normalisation and
everything else that turns embeddings into `a` and `c` is ordinary autograd outside of these functions.

What decides the time, per entry of a tile in a core's own cache: a product with d = 64 costs 1.3 ns, exp 0.7, a
comparison that writes booleans 0.4-0.8 but one that writes bytes 0.05, masked_fill with a scattered mask 4, and a
multiplication by bytes 0.1. Hence masks are bytes and are multiplied.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from contrast_core.pairwise.second import differentiable_gradients
from contrast_core.pairwise.tiles import Tiles, spans
from contrast_core.relations.algebra import related

SAFE_EXPONENT = 40.0
"""exp(+-40) times any number of rows stays far inside float32, so smaller logits need no shift by a maximum."""
FAINT = 1e-20
"""A sum of exponentials below this comes from very small weights and is computed again, with the shift."""


def largest_logit(a: Tensor, c: Tensor) -> float:
    """An upper bound of |a_i . c_j| by Cauchy and Schwarz."""
    if not len(a) or not len(c):
        return 0.0
    return float(a.detach().norm(dim=1).amax() * c.detach().norm(dim=1).amax())


class LogSumExp(torch.autograd.Function):
    """y_i = log sum_j w_ij exp(a_i . c_j), -inf for a row without related candidates.

    Backward: with p_ij = w_ij exp(a_i . c_j - y_i), da_i = g_i sum_j p_ij c_j and dc_j = sum_i g_i p_ij a_i.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, tiles: Tiles) -> Tensor:
        """Sums of exponentials by tiles, with a running maximum where logits may be large."""
        # Written this way round a bound of NaN, from embeddings of NaN, counts as large.
        result = _log_of_sums(a, c, tiles) if largest_logit(a, c) <= SAFE_EXPONENT else None
        ctx.bounded = result is not None
        if result is None:
            result = _log_of_shifted_sums(a, c, tiles)
        ctx.save_for_backward(a, c, result)
        ctx.tiles = tiles
        return result

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Recompute each tile and use it twice."""
        a, c, result = ctx.saved_tensors
        tiles: Tiles = ctx.tiles
        tiles.refuse_changes()
        if torch.is_grad_enabled():
            return *differentiable_gradients(lambda a, c: _dense_log_of_sums(a, c, tiles), (a, c), upstream), None
        of_a, of_c = ctx.needs_input_grad[:2]
        empty = result == -math.inf
        upstream = upstream.masked_fill(empty, 0.0)[:, None]
        result = result.masked_fill(empty, 0.0)[:, None]
        # Where exp(l) and exp(-y) are both safe, the row's factor is left out of the tile and applied to the tables.
        factor = upstream * torch.exp(-result) if ctx.bounded else upstream
        weighted = a * factor
        da, dc = torch.zeros_like(a), torch.zeros_like(c)
        buffer = tiles.buffer(a)
        with torch.autocast(a.device.type, enabled=False):
            for rows in spans(len(a), tiles.side):
                for columns in spans(len(c), tiles.side):
                    tile, weights = tiles.product(a, c, rows, columns, buffer), tiles.weights(rows, columns)
                    if not ctx.bounded:
                        tile = _without_unrelated(tile.sub_(result[rows]), weights)
                    tile = _weigh(tile.exp_(), weights)
                    if of_a:
                        da[rows].addmm_(tile, c[columns])
                    if of_c:
                        dc[columns].addmm_(tile.T, weighted[rows])
        return da.mul_(factor) if of_a else None, dc if of_c else None, None


def _weigh(tile: Tensor, weights: Tensor) -> Tensor:
    """tile * weights in place; the tile is finite wherever it comes to this."""
    return tile.mul_(weights.view(torch.uint8) if weights.dtype == torch.bool else weights.to(tile.dtype))


def _without_unrelated(logits: Tensor, weights: Tensor) -> Tensor:
    """-inf where unrelated, in place, so that what is large there can't overflow."""
    return torch.where(related(weights), logits, logits.new_tensor(-math.inf), out=logits)


def _log_of_sums(a: Tensor, c: Tensor, tiles: Tiles) -> Tensor | None:
    """The statistic of small logits; None if weights turn out to be so small that precision is lost."""
    total, buffer, fractions = a.new_zeros(len(a)), tiles.buffer(a), False
    for rows in spans(len(a), tiles.side):
        for columns in spans(len(c), tiles.side):
            tile, weights = tiles.product(a, c, rows, columns, buffer), tiles.weights(rows, columns)
            fractions |= weights.is_floating_point()
            total[rows] += _weigh(tile.exp_(), weights).sum(1)
    if fractions and len(total) and not float(total.amin()) >= FAINT:
        return None
    return total.log()


def _log_of_shifted_sums(a: Tensor, c: Tensor, tiles: Tiles) -> Tensor:
    """The statistic of any logits, by a running maximum over the related ones."""
    result, buffer = a.new_empty(len(a)), tiles.buffer(a)
    for rows in spans(len(a), tiles.side):
        total = a.new_zeros(rows.stop - rows.start)
        top = torch.full_like(total, -math.inf)
        for columns in spans(len(c), tiles.side):
            weights = tiles.weights(rows, columns)
            logits = _without_unrelated(tiles.product(a, c, rows, columns, buffer), weights)
            higher = torch.maximum(top, logits.amax(1))
            # A row may have met no candidate yet; -inf - -inf would be NaN.
            shift = torch.where(higher == -math.inf, 0.0, higher)
            total *= torch.exp(top - shift)
            total += _weigh(logits.sub_(shift[:, None]).exp_(), weights).sum(1)
            top = higher
        result[rows] = total.log() + torch.where(top == -math.inf, 0.0, top)
    return result


def _dense_log_of_sums(a: Tensor, c: Tensor, tiles: Tiles) -> Tensor:
    """The statistic by plain autograd."""
    weights = tiles.everything()
    shares, shift = exponentials(a @ c.T, weights, bounded=False)
    return log_of(shares.sum(1), shift)


def exponentials(logits: Tensor, weights: Tensor, bounded: bool) -> tuple[Tensor, Tensor]:
    """(w_ij exp(l_ij - shift_i), shift_i), exact zeros where unrelated.

    The shift is the largest related logit, or, if all are known to be small (`bounded`), the largest of all.
    """
    if not bounded:
        logits = torch.where(related(weights), logits, -math.inf)
    shift = logits.detach().amax(1) if logits.shape[1] else logits.new_zeros(len(logits))
    shift = torch.where(shift == -math.inf, 0.0, shift)
    shares = torch.exp(logits - shift[:, None])
    if weights.dtype != torch.bool:
        return shares * weights, shift
    return shares * weights.view(torch.uint8) if bounded else shares, shift


def log_of(total: Tensor, shift: Tensor) -> Tensor:
    """log(total) + shift, -inf without gradient where the total is 0."""
    # The 0 is set aside before, so that no infinite slope meets a gradient of 0.
    empty = total == 0
    return (total.masked_fill(empty, 1.0).log() + shift).masked_fill(empty, -math.inf)


class WeightedSum(torch.autograd.Function):
    """(sum_j w_ij a_i . c_j, sum_j w_ij), the second without gradient."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, tiles: Tiles) -> tuple[Tensor, Tensor]:
        """a_i . (sum_j w_ij c_j): one product of weights and candidates a tile, no similarities."""
        mixed, total, buffer = torch.zeros_like(a), a.new_zeros(len(a)), tiles.buffer(a)
        for rows in spans(len(a), tiles.side):
            for columns in spans(len(c), tiles.side):
                weights = tiles.matrix(rows, columns, buffer)
                mixed[rows].addmm_(weights, c[columns])
                total[rows] += weights.sum(1)
        ctx.save_for_backward(a, c, mixed)
        ctx.tiles = tiles
        ctx.mark_non_differentiable(total)
        return (a * mixed).sum(1), total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """The mixtures are the anchors' gradient; the candidates' takes the weights once more."""
        a, c, mixed = ctx.saved_tensors
        tiles: Tiles = ctx.tiles
        tiles.refuse_changes()
        if torch.is_grad_enabled():
            weights = tiles.everything().to(a.dtype)
            return *differentiable_gradients(lambda a, c: (weights * (a @ c.T)).sum(1), (a, c), upstream), None
        dc = None
        if ctx.needs_input_grad[1]:
            dc, scaled, buffer = torch.zeros_like(c), a * upstream[:, None], tiles.buffer(a)
            with torch.autocast(a.device.type, enabled=False):
                for rows in spans(len(a), tiles.side):
                    for columns in spans(len(c), tiles.side):
                        dc[columns].addmm_(tiles.matrix(rows, columns, buffer).T, scaled[rows])
        return mixed * upstream[:, None] if ctx.needs_input_grad[0] else None, dc, None


class ListedSum(torch.autograd.Function):
    """sum_e w_e a_i(e) . c_j(e) over listed pairs e = (i, j), by anchor, with given weights (p,)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, i: Tensor, j: Tensor, weights: Tensor) -> Tensor:
        """a_i . (sum_e w_e c_j(e)), so that no products of listed rows are kept."""
        mixed = torch.zeros_like(a).index_add_(0, i, c.index_select(0, j).mul_(weights[:, None]))
        ctx.save_for_backward(a, c, mixed, i, j, weights)
        return (a * mixed).sum(1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """The same sum from the candidates' side."""
        a, c, mixed, i, j, weights = ctx.saved_tensors
        if torch.is_grad_enabled():

            def dense(a: Tensor, c: Tensor) -> Tensor:
                return a.new_zeros(len(a)).index_add(0, i, (a[i] * c[j]).sum(1) * weights)

            return *differentiable_gradients(dense, (a, c), upstream), None, None, None
        dc = None
        if ctx.needs_input_grad[1]:
            rows = (a * upstream[:, None]).index_select(0, i).mul_(weights[:, None])
            dc = torch.zeros_like(c).index_add_(0, j, rows)
        return mixed * upstream[:, None] if ctx.needs_input_grad[0] else None, dc, None, None, None
