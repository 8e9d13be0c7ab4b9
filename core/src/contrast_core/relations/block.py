"""A block: some pairs of two tables' rows, at which a relation is evaluated."""

from __future__ import annotations

from attrs import frozen
from torch import Size, Tensor, arange

from contrast_core.embeddings import Embeddings


@frozen(eq=False)
class Block:
    """A set of index pairs (i, j) at which a relation is evaluated: `i` and `j` are long tensors that broadcast.

    A tile is i of shape (r, 1) and j of shape (1, c); a list of p pairs is i and j of shape (p,). A tile also knows
    the slices it is made of, because a slice of a column is a view and a gather is a copy.
    """

    anchors: Embeddings
    candidates: Embeddings
    i: Tensor
    j: Tensor
    rows: slice | None = None
    columns: slice | None = None

    @classmethod
    def tile(cls, anchors: Embeddings, candidates: Embeddings, rows: slice, columns: slice) -> Block:
        """All pairs of the anchors in `rows` with the candidates in `columns`."""
        i = arange(rows.start, rows.stop, device=anchors.device)
        j = arange(columns.start, columns.stop, device=anchors.device)
        return cls(anchors, candidates, i[:, None], j[None, :], rows, columns)

    def of_anchors(self, entries: Tensor) -> Tensor:
        """What a tensor (n, ...) with one entry an anchor holds at the pairs' anchors, ready to broadcast."""
        return _at(entries, self.i, self.rows)

    def of_candidates(self, entries: Tensor) -> Tensor:
        """What a tensor (m, ...) with one entry a candidate holds at the pairs' candidates, ready to broadcast."""
        return _at(entries, self.j, self.columns)

    def values(self, name: str) -> tuple[Tensor, Tensor]:
        """A column's or field's entries at both ends, ready to broadcast."""
        return self.of_anchors(self.anchors[name]), self.of_candidates(self.candidates[name])

    def flipped(self) -> Block:
        """The same pairs, in the same shape, with anchors and candidates exchanged."""
        return Block(self.candidates, self.anchors, self.j, self.i, self.columns, self.rows)

    @property
    def shape(self) -> Size:
        """The shape of the weights to return."""
        return broadcast(self.i, self.j)


def broadcast(x: Tensor, y: Tensor) -> Size:
    """The shape of two tensors together; torch's own function takes longer than a small tile's arithmetic."""
    if x.dim() != y.dim():
        shorter, longer = sorted((x, y), key=Tensor.dim)
        return broadcast(shorter.reshape((1,) * (longer.dim() - shorter.dim()) + shorter.shape), longer)
    return Size(theirs if ours == 1 else ours for ours, theirs in zip(x.shape, y.shape, strict=True))


def _at(entries: Tensor, index: Tensor, span: slice | None) -> Tensor:
    # The gradient of index_select is an index_add; that of indexing with brackets is many times slower.
    found = entries.index_select(0, index.flatten()) if span is None else entries[span]
    return found if index.dim() == 1 else found.reshape(index.shape + entries.shape[1:])
