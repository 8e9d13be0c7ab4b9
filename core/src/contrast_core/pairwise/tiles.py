"""Tiles: the rectangles of the n x m matrix that are in memory at one time, and what a relation says of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.pairwise.pattern import Groups, Pattern
from contrast_core.relations import Block, Relation
from contrast_core.relations.algebra import compared

Tile = tuple[slice, slice]
"""Rows and columns."""


def spans(length: int, side: int) -> Iterator[slice]:
    """Consecutive slices of `side`, the last perhaps shorter, that cover range(length)."""
    for start in range(0, length, side):
        yield slice(start, min(start + side, length))


def cuts(length: int, side: int) -> list[slice]:
    """As few consecutive slices as cover range(length) with at most `side` each, as equal as they can be."""
    return list(spans(length, -(-length // max(1, -(-length // side))))) if length else []


class Weights(ABC):
    """What a function that runs forward and backward asks of a relation, tile by tile."""

    @abstractmethod
    def of(self, rows: slice, columns: slice) -> Tensor | None:
        """Weights that broadcast to the tile, of 0 or 1 or any; None if all are 1."""

    fractional: bool = False
    """Whether there may be weights other than 0 and 1; the same in all processes, whatever their tiles."""

    @property
    def symmetric(self) -> bool:
        """Whether R_ij = R_ji is known. One table only."""
        return False

    def transposed(self, rows: slice, columns: slice) -> Tensor | None:
        """The weights R_ji, laid out like the tile: what candidate j, as an anchor, has with i. One table only."""
        found = self.of(columns, rows)
        return None if found is None else found.T

    def empty(self, rows: slice, columns: slice) -> bool:
        """Whether no pair of the tile is related, so that nothing needs to be computed; False if that is not known."""
        return False

    def exceptions(self, rows: slice, columns: slice) -> Tensor | None:
        """Places of the flattened tile that are not related, whatever `of` says of them; None if there are none."""
        return None

    def refuse_changes(self) -> None:  # noqa: B027 - what looks at no column can't be changed
        """Raise RuntimeError if a column was changed in place after it was read: gradients would be wrong."""


@final
class ByRelation(Weights):
    """Weights of any relation, evaluated in every tile.

    Args:
        anchors: their columns are read, and fields without gradient.
        candidates: likewise.
        relation: the relation, not yet prepared, without gradient of its own.
        prepare: whether it is worth while to prepare it for many tiles.
    """

    def __init__(self, anchors: Embeddings, candidates: Embeddings, relation: Relation, prepare: bool = True):
        self.anchors = anchors.detach()
        self.candidates = self.anchors if candidates is anchors else candidates.detach()
        with torch.no_grad():
            self.relation = relation.prepared(self.anchors, self.candidates) if prepare else relation
        self._symmetric = relation.symmetric
        self.fractional = not relation.binary
        self._versions = [(tensor, tensor._version) for tensor in self._columns() if not tensor.is_inference()]

    def _columns(self) -> Iterator[Tensor]:
        yield from self.anchors.columns.values()
        yield from self.candidates.columns.values()

    def refuse_changes(self) -> None:
        """Look at the columns' versions."""
        if any(tensor._version != version for tensor, version in self._versions):
            raise RuntimeError(
                "A column of the embeddings was changed in place between the forward and the backward pass; "
                "hand out a clone of what will be overwritten, for example of a queue's buffer."
            )

    @property
    def symmetric(self) -> bool:
        """As the relation."""
        return self._symmetric

    def of(self, rows: slice, columns: slice) -> Tensor | None:
        """The relation's weights."""
        with torch.no_grad():
            return self.relation.weigh(Block.tile(self.anchors, self.candidates, rows, columns))


@final
class ByPattern(Weights):
    """Weights by a rule; its exceptions are not related here, and those that are have to be added by the caller.

    Args:
        pattern: the rule, whose groups, if any, must be sorted: `order` says how.
        rows: how the rows are cut.
        columns: how the columns are cut.
        factor: weights that multiply those of the rule.
    """

    def __init__(self, pattern: Pattern, rows: list[slice], columns: list[slice], factor: ByRelation | None = None):
        self.factor = factor
        self.fractional = factor is not None and factor.fractional
        self.outside = pattern.outside
        self.inside, self.groups = pattern.inside, pattern.groups
        self.uniform = len(pattern.outside) == 1 and bool(pattern.outside[0])
        self._places = _by_tile(pattern.i, pattern.j, rows, columns)

    def exceptions(self, rows: slice, columns: slice) -> Tensor | None:
        """The listed pairs of the tile."""
        return self._places.get((rows.start, columns.start))

    def empty(self, rows: slice, columns: slice) -> bool:
        """Whether the rule says no for all of the tile."""
        meeting, apart = self._meeting(rows, columns)
        rules = ([self.inside] if meeting else []) + ([self.outside] if apart else [])
        return not any(bool(_cut(rule, columns).any()) for rule in rules if rule is not None)

    @property
    def symmetric(self) -> bool:
        """Whether no candidate is treated on its own."""
        alike = len(self.outside) == 1 and (self.inside is None or len(self.inside) == 1)
        return alike and (self.factor is None or self.factor.symmetric)

    def refuse_changes(self) -> None:
        """As the factor; the pattern itself looks at no column again."""
        if self.factor is not None:
            self.factor.refuse_changes()

    def of(self, rows: slice, columns: slice) -> Tensor | None:
        """One row of weights, or a mask where groups begin and end; times the factor."""
        rule, factor = self._rule(rows, columns), None if self.factor is None else self.factor.of(rows, columns)
        if factor is None or rule is None:
            return rule if factor is None else factor
        return factor * rule

    def _rule(self, rows: slice, columns: slice) -> Tensor | None:
        meeting, apart = self._meeting(rows, columns)
        outside = _simple(_cut(self.outside, columns))
        if not meeting or self.groups is None or self.inside is None:
            return outside
        inside = _simple(_cut(self.inside, columns))
        if not apart:
            return inside
        same = compared(torch.eq, self.groups.anchors[rows, None], self.groups.candidates[columns])
        if inside is None and self.outside.numel() == 1 and not bool(self.outside):
            return same
        yes = torch.ones(1, 1, dtype=torch.bool, device=same.device)
        return torch.where(same, yes if inside is None else inside, yes if outside is None else outside)

    def _meeting(self, rows: slice, columns: slice) -> tuple[bool, bool]:
        """Whether the tile may have pairs of one group, and pairs of different groups."""
        if self.groups is None:
            return False, True
        first, last = (int(self.groups.anchors[at]) for at in (rows.start, rows.stop - 1))
        left, right = (int(self.groups.candidates[at]) for at in (columns.start, columns.stop - 1))
        return first <= right and left <= last, not (first == last == left == right)


def order(groups: Groups) -> tuple[Tensor, Tensor]:
    """Indices that sort the anchors and the candidates by group."""
    rows = groups.anchors.argsort(stable=True)
    return rows, rows if groups.candidates is groups.anchors else groups.candidates.argsort(stable=True)


def sorted_by_group(pattern: Pattern, rows: Tensor, columns: Tensor) -> Pattern:
    """The same pattern of the tables in another order: row k of the new tables is row rows[k] of the old."""
    if pattern.groups is None:
        return pattern
    moved = [torch.empty_like(at).index_copy_(0, at, torch.arange(len(at), device=at.device)) for at in (rows, columns)]
    groups = Groups(pattern.groups.anchors[rows], pattern.groups.candidates[columns])
    outside, inside = (
        value[columns] if value is not None and len(value) > 1 else value for value in (pattern.outside, pattern.inside)
    )
    assert outside is not None
    return Pattern(moved[0][pattern.i], moved[1][pattern.j], pattern.weight, outside, inside, groups)


def _cut(rule: Tensor | None, columns: slice) -> Tensor:
    assert rule is not None
    return rule if len(rule) == 1 else rule[columns]


def _simple(rule: Tensor) -> Tensor | None:
    return None if bool(rule.all()) else rule[None]


def _by_tile(i: Tensor, j: Tensor, rows: list[slice], columns: list[slice]) -> dict[tuple[int, int], Tensor]:
    """Flat places inside each tile that holds listed pairs, by where it starts."""
    if not len(i):
        return {}
    high, wide = rows[0].stop - rows[0].start, columns[0].stop - columns[0].start
    # All spans but the last are equal, so division finds them.
    at_row, at_column = i // high, j // wide
    width = torch.full_like(at_column, wide)
    width[at_column == len(columns) - 1] = columns[-1].stop - columns[-1].start
    place = (i - at_row * high) * width + (j - at_column * wide)
    tile = at_row * len(columns) + at_column
    ordered, by = tile.sort()
    found, counts = torch.unique_consecutive(ordered, return_counts=True)
    pieces = place[by].split(counts.tolist())
    return {
        (rows[t // len(columns)].start, columns[t % len(columns)].start): piece
        for t, piece in zip(found.tolist(), pieces, strict=True)
    }


def shaped(buffer: Tensor, rows: slice, columns: slice) -> Tensor:
    """The beginning of a flat buffer as a tile."""
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    return buffer[: shape[0] * shape[1]].view(shape)


def buffer_for(like: Tensor, rows: list[slice], columns: list[slice]) -> Tensor:
    """Memory for one tile, to be used again for each: fresh pages cost more than the arithmetic on them."""
    return like.new_empty((rows[0].stop - rows[0].start) * (columns[0].stop - columns[0].start))
