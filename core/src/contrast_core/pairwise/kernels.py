"""log sum_j w_ij exp(scale a_i . c_j) by hand: tiles are formed, used and forgotten, forward and backward.

Kept for backward are the tables, one number a row, and as many finished tiles as fit into a fixed budget; the others
are computed again. The temperature, the normalisation and everything else that turns embeddings into `a` and `c` is
ordinary autograd outside of here.

With E_ij = exp(l_ij), sums S_i = sum_j w_ij E_ij and upstream g_i: dl_ij = g_i w_ij E_ij / S_i. One table with itself
has E = E^T, so half of the tiles do: M = E * (w g/S + (w g/S)^T) and dz = scale M z. Two tables with sums of both sides
need one pass, not two: M = w E * (g_i/S_i + h_j/T_j).

In numbers of products n m d: rows 1 forward and 3 backward; both sides of two tables the same; one table 1/2 and 3/2.
A power of two takes a third of the time of exp and is as exact, so logits carry a factor log2(e).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from contrast_core.pairwise.plan import Plan, erase, plain
from contrast_core.pairwise.running import running_gradients, running_logsumexp
from contrast_core.pairwise.second import differentiable_gradients
from contrast_core.pairwise.tiles import Tile, shaped
from contrast_core.pairwise.workspace import KEPT_BYTES, Lease
from contrast_core.relations.algebra import related

SAFE_EXPONENT = 40.0
"""exp(+-40) times any number of rows stays far inside float32, so smaller logits need no shift."""
FAINT = 1e-20
"""A sum below this, of small weights or of logits far below the bound, is computed again with a maximum each row."""
LOG2E = math.log2(math.e)


def largest_logit(a: Tensor, c: Tensor, scale: float) -> float:
    """An upper bound of |scale a_i . c_j| by Cauchy and Schwarz."""
    if not len(a) or not len(c):
        return 0.0
    largest = torch.linalg.vector_norm(a.detach(), dim=1).amax()
    other = largest if c is a else torch.linalg.vector_norm(c.detach(), dim=1).amax()
    return abs(scale) * float(largest * other)


class Sums(NamedTuple):
    """What a forward pass finds: sums of exp(l - shift) by row and perhaps by column, and finished tiles."""

    rows: Tensor
    columns: Tensor | None
    kept: Kept


class Kept:
    """Memory of one forward and backward pass: for each thread two tiles to work in, then finished tiles."""

    def __init__(self, like: Tensor, plan: Plan, budget: int):
        tile = (plan.rows[0].stop * plan.columns[0].stop) if plan.rows and plan.columns else 0
        sizes = [(r.stop - r.start) * (c.stop - c.start) for r, c in plan.tiles()]
        self.threads = max(1, min(plan.threads, len(sizes)))
        # Where little of it can be kept, keeping saves little time.
        budget = budget if sum(sizes) * like.element_size() <= 4 * budget else budget // 4
        room = min(sum(sizes), budget // like.element_size())
        self.each = 2 * tile + room // self.threads
        self.lease = Lease(like, self.each * self.threads)
        self.tile = tile
        self.tiles: dict[tuple[int, int], Tensor] = {}
        self.used = [0] * self.threads

    def scratch(self, thread: int) -> tuple[Tensor, Tensor]:
        """Two flat tiles of a thread's own."""
        start = thread * self.each
        memory = self.lease.memory
        return memory[start : start + self.tile], memory[start + self.tile : start + 2 * self.tile]

    def place(self, thread: int, rows: slice, columns: slice) -> Tensor | None:
        """Where a finished tile stays, for `tiles` to find it again; None if the thread's room is used up."""
        start = thread * self.each + 2 * self.tile + self.used[thread]
        room = self.lease.memory[start : (thread + 1) * self.each]
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        if len(room) < size:
            return None
        self.used[thread] += size
        self.tiles[rows.start, columns.start] = shaped(room, rows, columns)
        return self.tiles[rows.start, columns.start]


class LogSumExp(torch.autograd.Function):
    """(log sum_j w_ij exp(l_ij), log sum_i w_ij exp(l_ij) or None); -inf where nobody is related."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, plan: Plan) -> tuple[Tensor, Tensor | None]:
        """Sums by tiles; with a running maximum where one shift does not do for all rows."""
        ctx.plan, ctx.kept = plan, None
        ctx.set_materialize_grads(False)
        wanted = any(ctx.needs_input_grad[:2])
        bound = largest_logit(a, c, plan.scale)
        shift = max(0.0, bound - SAFE_EXPONENT)
        # A bound of NaN, from embeddings of NaN, fails every comparison and goes the other way.
        found = _sums(a, c, plan, shift, KEPT_BYTES if wanted else 0) if bound < math.inf else None
        ctx.shift = shift if found is not None and _is_exact(found, bool(shift) or plan.weights.fractional) else None
        if found is None or ctx.shift is None:
            rows = running_logsumexp(a, c, plan.whole())
            columns = running_logsumexp(c, a, plan.turned().whole()) if plan.sides == "both" else None
            ctx.save_for_backward(a, c, rows, columns)
            return rows, columns
        ctx.kept = found.kept
        ctx.save_for_backward(a, c, found.rows, found.columns)
        return found.rows.log() + shift, None if found.columns is None else found.columns.log() + shift

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        """Finish or recompute each tile and use it for both tables."""
        a, c, rows, columns = ctx.saved_tensors
        plan: Plan = ctx.plan
        plan.weights.refuse_changes()
        g = upstream[0] if upstream[0] is not None else torch.zeros_like(rows)
        h = None if columns is None else upstream[1] if upstream[1] is not None else torch.zeros_like(columns)
        if torch.is_grad_enabled():
            return *differentiable_gradients(lambda a, c: _dense(a, c, plan), (a, c), (g, h)), None
        wanted = ctx.needs_input_grad[:2]
        with torch.autocast(a.device.type, enabled=False):
            if ctx.shift is None:
                found = running_gradients(a, c, plan.whole(), rows, g, wanted)
                if columns is not None and h is not None:
                    other = running_gradients(c, a, plan.turned().whole(), columns, h, wanted[::-1])
                    for ours, theirs in zip(found, other[::-1], strict=True):
                        if ours is not None and theirs is not None:
                            ours += theirs
                return *found, None
            factors = _quotient(g, rows), None if h is None or columns is None else _quotient(h, columns)
            return *_gradients(a, c, plan, ctx.shift, factors, wanted, ctx.kept), None


def _is_exact(found: Sums, doubtful: bool) -> bool:
    """Whether every sum kept its digits; only shifted logits and weights that are no plain 0 or 1 leave a doubt."""
    if not doubtful:
        return True
    sums = [found.rows] if found.columns is None else [found.rows, found.columns]
    return all(not len(total) or float(total.amin()) >= FAINT for total in sums)


def _quotient(upstream: Tensor, total: Tensor) -> Tensor:
    """g / S, 0 for an empty row."""
    return torch.where(total > 0, upstream / total, 0.0)


def powers(
    a: Tensor,
    c: Tensor,
    plan: Plan,
    rows: slice,
    columns: slice,
    shift: float,
    tile: Tensor,
    logits: Tensor | None = None,
) -> Tensor:
    """exp(l - shift) of a tile, 0 at its exceptions; log2(e) l itself stays in `logits`, if that is another tile."""
    logits = tile if logits is None else logits
    # With beta = 0 the tile's old content is not read.
    torch.addmm(logits, a[rows], c[columns].T, beta=0, alpha=plan.scale * LOG2E, out=logits)
    if shift:
        logits.sub_(shift * LOG2E)
    torch.exp2(logits, out=tile)
    places = plan.weights.exceptions(rows, columns)
    return tile if places is None else erase(tile, places)


def _sums(a: Tensor, c: Tensor, plan: Plan, shift: float, budget: int) -> Sums:
    kept = Kept(a, plan, budget)

    def work(tiles: Sequence[Tile], thread: int) -> tuple[Tensor, Tensor | None]:
        row_sums = a.new_zeros(len(a))
        column_sums = a.new_zeros(len(c)) if plan.sides == "both" else None
        buffer, spare = kept.scratch(thread)
        for rows, columns in tiles:
            place = kept.place(thread, rows, columns)
            place = shaped(buffer, rows, columns) if place is None else place
            tile = powers(a, c, plan, rows, columns, shift, place)
            weights = plan.weights.of(rows, columns)
            if plan.sides != "half" or plan.weights.symmetric:
                if weights is not None:
                    tile.mul_(plain(weights, tile.dtype))
                row_sums[rows] += tile.sum(1)
                if column_sums is not None:
                    column_sums[columns] += tile.sum(0)
                elif plan.sides == "half" and rows.start != columns.start:
                    row_sums[columns] += tile.sum(0)
            else:
                ends = [(rows, 1, weights)]
                if rows.start != columns.start:
                    ends.append((columns, 0, plan.weights.transposed(rows, columns)))
                for at, dimension, each in ends:
                    seen = tile
                    if each is not None:
                        seen = torch.mul(tile, plain(each, tile.dtype), out=shaped(spare, rows, columns))
                    row_sums[at] += seen.sum(dimension)
        return row_sums, column_sums

    row_sums, column_sums = plan.total(work)
    assert row_sums is not None
    return Sums(row_sums, column_sums, kept)


def _gradients(
    a: Tensor,
    c: Tensor,
    plan: Plan,
    shift: float,
    factors: tuple[Tensor, Tensor | None],
    wanted: tuple[bool, bool],
    kept: Kept,
) -> tuple[Tensor | None, Tensor | None]:
    of_rows, of_columns = factors
    half = plan.sides == "half"
    # What row i sees in column j is not what row j sees in column i.
    twice = half and not plan.weights.symmetric
    # Sums of rows alone: the row's factor is left out of the tile and applied to the tables.
    weighted = a * of_rows[:, None] if plan.sides == "rows" and wanted[1] else a

    def work(tiles: Sequence[Tile], thread: int) -> tuple[Tensor | None, Tensor | None]:
        da = torch.zeros_like(a) if wanted[0] or half else None
        # Half of the tiles serve one table, in both roles.
        dc = da if half else torch.zeros_like(c) if wanted[1] else None
        buffer, spare = kept.scratch(thread)
        for rows, columns in tiles:
            # A second backward pass finds the tile used up.
            tile = kept.tiles.pop((rows.start, columns.start), None)
            weights = plan.weights.of(rows, columns) if tile is None or twice else None
            if tile is None:
                tile = powers(a, c, plan, rows, columns, shift, shaped(buffer, rows, columns))
                if weights is not None and not twice:
                    tile.mul_(plain(weights, tile.dtype))
            if plan.sides != "rows":
                other = plan.weights.transposed(rows, columns) if twice else None
                theirs = of_rows if of_columns is None else of_columns
                factor = shaped(spare, rows, columns)
                tile.mul_(_factor(of_rows[rows, None], theirs[columns], weights if twice else None, other, factor))
            if da is not None:
                da[rows].addmm_(tile, c[columns])
            if dc is not None and not (half and rows.start == columns.start):
                dc[columns].addmm_(tile.T, weighted[rows])
        return da, None if half else dc

    da, dc = plan.total(work)
    if da is not None:
        da.mul_(of_rows[:, None] * plan.scale if plan.sides == "rows" else plan.scale)
    return da, None if dc is None else dc.mul_(plan.scale)


def _factor(ours: Tensor, theirs: Tensor, weights: Tensor | None, other: Tensor | None, out: Tensor) -> Tensor:
    """ours w_ij + theirs w_ji in a tile."""
    if weights is None and other is None:
        return torch.add(ours, theirs, out=out)
    if weights is None:
        out.copy_(ours.expand_as(out))
    else:
        torch.mul(ours, plain(weights, out.dtype), out=out)
    return out.add_(theirs) if other is None else out.addcmul_(theirs, plain(other, out.dtype))


def _dense(a: Tensor, c: Tensor, plan: Plan) -> tuple[Tensor, Tensor | None]:
    """The statistic by plain autograd."""
    weights = plan.dense(a)
    logits = plan.scale * (a @ c.T)
    rows = _dense_rows(logits, weights)
    return rows, _dense_rows(logits.T, weights.T) if plan.sides == "both" else None


def _dense_rows(logits: Tensor, weights: Tensor) -> Tensor:
    shares, shift = exponentials(logits, weights, bounded=False)
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
