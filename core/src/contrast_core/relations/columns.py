"""Relations between rows by what stands in their columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.relations.algebra import List, Relation, compared
from contrast_core.relations.block import Block
from contrast_core.relations.explicit import Listed


class OfOneColumn(Relation):
    """A relation that reads one column of both tables."""

    column: str
    of_columns = True

    @property
    def columns(self) -> frozenset[str]:  # type: ignore[override]
        """The one column."""
        return frozenset({self.column})


@frozen(eq=False, repr=False)
class Same(OfOneColumn):
    """R_ij = 1 where the column has the same entry in both rows (and that entry is not `missing`)."""

    column: str
    missing: int | None = None
    binary = True
    symmetric = True

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError if the column is missing or has more than one entry a row."""
        Relation.check(self, anchors, candidates)
        for side, table in (("anchors", anchors), ("candidates", candidates)):
            shape = tuple(table[self.column].shape)
            if len(shape) != 1:
                raise ValueError(
                    f"The relation {self} compares one entry a row, but the column '{self.column}' of the {side} "
                    f"has shape {shape}; differing('{self.column}') counts differences of several entries."
                )

    def weigh(self, block: Block) -> Tensor:
        """Equality of the two entries."""
        a, b = block.values(self.column)
        equal = compared(torch.eq, a, b)
        return equal if self.missing is None else equal & compared(torch.ne, a, self.missing)

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> List | None:
        """A sorted merge join on the column."""
        ours, theirs = _comparable(anchors[self.column], candidates[self.column])
        ordered, order = theirs.sort(stable=True)
        start = torch.searchsorted(ordered, ours)
        counts = torch.searchsorted(ordered, ours, right=True) - start
        if self.missing is not None:
            counts = counts.masked_fill(ours == self.missing, 0)
        total = int(counts.sum())
        if total > limit:
            return None
        i = torch.repeat_interleave(torch.arange(len(ours), device=ours.device), counts)
        within = torch.arange(total, device=ours.device) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        return i, order[start[i] + within]

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """A list where that is short, otherwise small integers in place of the entries."""
        found = self.listed(anchors, candidates, limit=4 * (len(anchors) + len(candidates)))
        if found is not None:
            return Listed.of(*found, None, len(candidates))
        return _Compared(self, *self.groups(anchors, candidates))

    def identity(self) -> object:
        """Column and missing entry."""
        return ("same", self.column, self.missing)

    def groups(self, anchors: Embeddings, candidates: Embeddings) -> tuple[Tensor, Tensor]:
        """Small integers, (n,) and (m,), that are equal exactly where rows are related; below 0 related to none."""
        ours, theirs = anchors[self.column], candidates[self.column]
        a, c = numbered(ours, theirs)
        if self.missing is not None:
            a, c = a.masked_fill(ours == self.missing, -1), c.masked_fill(theirs == self.missing, -2)
        return a, c

    def transposed(self) -> Relation:
        """Itself: equality is symmetric."""
        return self

    def __repr__(self) -> str:
        return f"same({self.column!r})" if self.missing is None else f"same({self.column!r}, missing={self.missing})"


@frozen(eq=False, repr=False)
class _Compared(Relation):
    """Equality of small integers, one for each row."""

    of: Relation
    a: Tensor
    c: Tensor
    binary = True

    def weigh(self, block: Block) -> Tensor:
        """Equality of the two."""
        return compared(torch.eq, block.of_anchors(self.a), block.of_candidates(self.c))

    def __repr__(self) -> str:
        return repr(self.of)


@frozen(eq=False, repr=False)
class Where(Relation):
    """R_ij = 1 where the column of the candidate (or of the anchor) has the given value."""

    column: str
    value: int
    side: str = "candidates"
    binary = True
    of_columns = True

    @property
    def anchor_columns(self) -> frozenset[str]:  # type: ignore[override]
        """The column, if it is the anchor's."""
        return frozenset({self.column} if self.side == "anchors" else ())

    @property
    def candidate_columns(self) -> frozenset[str]:  # type: ignore[override]
        """The column, if it is the candidate's."""
        return frozenset({self.column} if self.side == "candidates" else ())

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError if the column is missing or has more than one entry a row."""
        Relation.check(self, anchors, candidates)
        shape = tuple((anchors if self.side == "anchors" else candidates)[self.column].shape)
        if len(shape) != 1:
            raise ValueError(
                f"The relation {self} compares one entry a row, but the column '{self.column}' of the {self.side} "
                f"has shape {shape}."
            )

    def weigh(self, block: Block) -> Tensor:
        """Equality with the value on one side."""
        if self.side == "anchors":
            return block.of_anchors(block.anchors[self.column]) == self.value
        return block.of_candidates(block.candidates[self.column]) == self.value

    def identity(self) -> object:
        """Column, value and side."""
        return ("where", self.column, self.value, self.side)

    def transposed(self) -> Relation:
        """The condition on the other side."""
        return evolve(self, side="candidates" if self.side == "anchors" else "anchors")

    def __repr__(self) -> str:
        side = "" if self.side == "candidates" else f", side={self.side!r}"
        return f"where({self.column!r}, {self.value}{side})"


@frozen(eq=False, repr=False)
class Kernel(OfOneColumn):
    """R_ij = f(x_i, x_j) of one column; f broadcasts over leading dimensions and returns weights >= 0.

    For a column (n, k), f receives (..., k) on both sides and reduces the last dimension. Weights carry no gradient,
    even if f or the column could: that is what `learned` is for.
    """

    column: str
    function: Callable[[Tensor, Tensor], Tensor] = field()

    def weigh(self, block: Block) -> Tensor:
        """The function of the two entries."""
        a, c = block.values(self.column)
        return self.function(a.detach(), c.detach()).detach()

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """The column laid out so that loops over many rows, not over few entries, are the inner ones."""
        a, c = (_entries_first(table[self.column].detach()) for table in (anchors, candidates))
        return _KernelOf(self, self.function, a, c)

    def __repr__(self) -> str:
        return f"kernel({self.column!r}, {getattr(self.function, '__name__', type(self.function).__name__)})"


@frozen(eq=False, repr=False)
class _KernelOf(Relation):
    """A kernel of two given tensors."""

    of: Relation
    function: Callable[[Tensor, Tensor], Tensor]
    a: Tensor
    c: Tensor

    def weigh(self, block: Block) -> Tensor:
        """The function of the two entries."""
        return self.function(block.of_anchors(self.a), block.of_candidates(self.c)).detach()

    def __repr__(self) -> str:
        return repr(self.of)


@frozen(eq=False, repr=False)
class Differing(OfOneColumn):
    """R_ij = the number of entries in which rows i and j of a column (n, k) differ, 0 to k; (n,) counts as k = 1."""

    column: str
    symmetric = True

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError if the column is missing or the rows have different numbers of entries."""
        Relation.check(self, anchors, candidates)
        a, c = tuple(anchors[self.column].shape), tuple(candidates[self.column].shape)
        if a[1:] != c[1:] or len(a) > 2:
            raise ValueError(f"The relation {self} compares columns (n, k) and (m, k), not of shapes {a} and {c}.")

    def weigh(self, block: Block) -> Tensor:
        """Differences counted entry by entry."""
        return _count(block, *(_entries(table[self.column]) for table in (block.anchors, block.candidates)))

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """Small integers in place of the entries."""
        a, c = (_entries(table[self.column]) for table in (anchors, candidates))
        pairs = [numbered(ours, theirs) for ours, theirs in zip(a, c, strict=True)]
        return _DifferingIn(self, [ours for ours, _ in pairs], [theirs for _, theirs in pairs])

    def transposed(self) -> Relation:
        """Itself: the count is symmetric."""
        return self

    def __repr__(self) -> str:
        return f"differing({self.column!r})"


@frozen(eq=False, repr=False)
class _DifferingIn(Relation):
    """The number of differences between small integers, several for each row."""

    of: Relation
    a: Sequence[Tensor]
    c: Sequence[Tensor]

    def weigh(self, block: Block) -> Tensor:
        """Differences counted entry by entry."""
        return _count(block, self.a, self.c)

    def __repr__(self) -> str:
        return repr(self.of)


def _entries(column: Tensor) -> Sequence[Tensor]:
    return [column] if column.dim() == 1 else column.unbind(1)


def _count(block: Block, a: Sequence[Tensor], c: Sequence[Tensor]) -> Tensor:
    # A byte holds counts up to 255 and is the fastest thing to add and to multiply with.
    kind = torch.uint8 if len(a) < 256 else torch.int32
    total = torch.zeros(block.shape, dtype=kind, device=block.i.device)
    for ours, theirs in zip(a, c, strict=True):
        differ = compared(torch.ne, block.of_anchors(ours), block.of_candidates(theirs))
        total += differ.view(torch.uint8)
    return total


def numbered(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Integers of the smallest sufficient size, equal exactly where the entries of two columns are equal."""
    ours, theirs = _comparable(ours, theirs)
    kinds, numbers = torch.unique(torch.cat([ours, theirs]), return_inverse=True)
    small = numbers.to(torch.int16 if len(kinds) < 2**15 else torch.int32)
    return small[: len(ours)], small[len(ours) :]


def _comparable(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    kind = torch.promote_types(ours.dtype, theirs.dtype)
    if kind == torch.bool:
        kind = torch.uint8
    return ours.to(kind).contiguous(), theirs.to(kind).contiguous()


def _entries_first(column: Tensor) -> Tensor:
    return column.T.contiguous().T if column.dim() == 2 else column
