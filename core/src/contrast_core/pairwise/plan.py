"""The plan of one pass: which tiles there are, and who computes them - threads of this process, and other processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar, final

import torch
from attrs import evolve, field, frozen
from torch import Tensor, distributed

from contrast_core.pairwise.tiles import Tile, Weights, shaped

T = TypeVar("T")


@final
class Turned(Weights):
    """The same weights with rows and columns exchanged."""

    def __init__(self, weights: Weights):
        self.weights = weights
        self.fractional = weights.fractional

    def of(self, rows: slice, columns: slice) -> Tensor | None:
        """The transposed tile."""
        found = self.weights.of(columns, rows)
        return None if found is None else found.T

    def empty(self, rows: slice, columns: slice) -> bool:
        """As the tile."""
        return self.weights.empty(columns, rows)

    def exceptions(self, rows: slice, columns: slice) -> Tensor | None:
        """Their places in the transposed tile."""
        places = self.weights.exceptions(columns, rows)
        if places is None:
            return None
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        turned: Tensor = (places % high) * wide + places // high
        return turned

    def refuse_changes(self) -> None:
        """As the weights."""
        self.weights.refuse_changes()


@frozen(eq=False)
class Plan:
    """A pass over the tiles of two tables.

    Args:
        weights: the relation, tile by tile.
        rows: how the n anchors are cut.
        columns: how the m candidates are cut.
        scale: logits are scale a . c.
        sides: which sums a pass makes: of "rows", of "both" rows and columns, or, of one table with itself, the rows'
            sums from the half of the tiles on and above the diagonal: "half".
        group: processes that hold the same rows and share the work, or None.
    """

    weights: Weights
    rows: list[slice]
    columns: list[slice]
    scale: float = 1.0
    sides: str = "rows"
    group: distributed.ProcessGroup | None = None
    threads: int = field(factory=torch.get_num_threads)

    def tiles(self) -> list[Tile]:
        """This process's share of the tiles in which anybody is related."""
        found = [
            (rows, columns)
            for rows in self.rows
            for columns in self.columns
            if self.sides != "half" or columns.start >= rows.start
            if not self._skipped(rows, columns)
        ]
        if self.group is None:
            return found
        return found[distributed.get_rank(self.group) :: distributed.get_world_size(self.group)]

    def _skipped(self, rows: slice, columns: slice) -> bool:
        return self.weights.empty(rows, columns) and (self.sides != "half" or self.weights.empty(columns, rows))

    def shared(self, work: Callable[[Sequence[Tile], int], T]) -> list[T]:
        """What each thread makes of its share of the tiles; `work` is given the share and the thread's number.

        Every thread computes with one core of its own: parallel regions inside of each small operation would cost more
        than they save. Shares are fixed by number, so that sums come out the same every time.
        """
        tiles = self.tiles()
        threads = max(1, min(self.threads, len(tiles)))
        if threads == 1:
            return [work(tiles, 0)]
        results: dict[int, T] = {}
        errors: list[BaseException] = []

        def run(number: int) -> None:
            try:
                torch.set_num_threads(1)
                with torch.no_grad():
                    results[number] = work(tiles[number::threads], number)
            except BaseException as error:
                errors.append(error)

        others = [threading.Thread(target=run, args=(number,)) for number in range(1, threads)]
        for thread in others:
            thread.start()
        try:
            run(0)
            for thread in others:
                thread.join()
        finally:
            torch.set_num_threads(self.threads)
        if errors:
            raise errors[0]
        return [results[number] for number in range(threads)]

    def total(self, work: Callable[[Sequence[Tile], int], tuple[Tensor | None, ...]]) -> tuple[Tensor | None, ...]:
        """The sums, in each place, of what all threads and all processes of the group make of their tiles."""
        first, *others = self.shared(work)
        for other in others:
            for ours, theirs in zip(first, other, strict=True):
                if ours is not None and theirs is not None:
                    ours.add_(theirs)
        self.summed(*(part for part in first if part is not None))
        return first

    def summed(self, *parts: Tensor) -> None:
        """Add up, in place, what the processes of the group have; nothing with one process."""
        if self.group is not None:
            for part in parts:
                distributed.all_reduce(part, group=self.group)

    def turned(self) -> Plan:
        """The same pairs seen from the candidates."""
        return evolve(self, weights=Turned(self.weights), rows=self.columns, columns=self.rows)

    def whole(self) -> Plan:
        """The same, with sums of rows alone, by all tiles."""
        return evolve(self, sides="rows")

    def alone(self) -> Plan:
        """The same, with all tiles computed here."""
        return evolve(self, group=None)

    def dense(self, like: Tensor) -> Tensor:
        """All weights, (n, m): only for second derivatives."""
        ends = [spans[-1].stop if spans else 0 for spans in (self.rows, self.columns)]
        result = like.new_zeros(ends)
        buffer = like.new_empty(max((r.stop - r.start for r in self.rows), default=0) * ends[1])
        for rows in self.rows:
            for columns in self.columns:
                result[rows, columns] = self.matrix(rows, columns, shaped(buffer, rows, columns))
        return result

    def matrix(self, rows: slice, columns: slice, tile: Tensor) -> Tensor:
        """The weights as numbers, written into a tile."""
        weights, places = self.weights.of(rows, columns), self.weights.exceptions(rows, columns)
        tile.fill_(1) if weights is None else tile.copy_(plain(weights, tile.dtype))
        return tile if places is None else erase(tile, places)


def plain(weights: Tensor, kind: torch.dtype) -> Tensor:
    """Weights to multiply a tile by; booleans and small counts as bytes, which is as exact and several times faster."""
    if weights.dtype == torch.bool:
        return weights.view(torch.uint8)
    return weights if weights.dtype == torch.uint8 else weights.to(kind)


def erase(tile: Tensor, places: Tensor, value: float = 0.0) -> Tensor:
    """Write a value to places of the flattened tile."""
    tile.view(-1).index_fill_(0, places, value)
    return tile
