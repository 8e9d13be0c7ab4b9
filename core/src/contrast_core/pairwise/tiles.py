"""Tiles: the rectangles of the n x m matrix that are in memory at one time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.relations import Block, Relation


def spans(length: int, side: int) -> Iterator[slice]:
    """Consecutive slices of at most `side` that cover range(length)."""
    for start in range(0, length, side):
        yield slice(start, min(start + side, length))


class Tiles:
    """A relation between two tables, evaluated in square tiles, for a function that runs forward and backward.

    Args:
        anchors: their columns are read, and fields without gradient.
        candidates: likewise.
        relation: the relation, not yet prepared, without gradient of its own.
        side: the side of a tile.
    """

    def __init__(self, anchors: Embeddings, candidates: Embeddings, relation: Relation, side: int):
        self.anchors = anchors.detach()
        self.candidates = self.anchors if candidates is anchors else candidates.detach()
        self.side = side
        with torch.no_grad():
            self.relation = relation.prepared(self.anchors, self.candidates)
        self._versions = [(tensor, tensor._version) for tensor in self._columns() if not tensor.is_inference()]

    def _columns(self) -> Iterator[Tensor]:
        yield from self.anchors.columns.values()
        yield from self.candidates.columns.values()

    def refuse_changes(self) -> None:
        """Raise RuntimeError if a column was changed in place after it was read: gradients would be wrong."""
        if any(tensor._version != version for tensor, version in self._versions):
            raise RuntimeError(
                "A column of the embeddings was changed in place between the forward and the backward pass; "
                "hand out a clone of what will be overwritten, for example of a queue's buffer."
            )

    def weights(self, rows: slice, columns: slice) -> Tensor:
        """The weights of a tile; broadcasts to its shape."""
        with torch.no_grad():
            return self.relation.weigh(Block.tile(self.anchors, self.candidates, rows, columns))

    def everything(self) -> Tensor:
        """The weights of all pairs, (n, m): only for second derivatives."""
        n, m = len(self.anchors), len(self.candidates)
        return self.weights(slice(0, n), slice(0, m)).expand(n, m)

    def buffer(self, like: Tensor) -> Tensor:
        """Memory for one tile, to be used again for each: fresh pages cost more than the arithmetic on them."""
        size = min(self.side, len(self.anchors)) * min(self.side, len(self.candidates))
        return like.new_empty(size)

    def product(self, a: Tensor, c: Tensor, rows: slice, columns: slice, buffer: Tensor) -> Tensor:
        """a_i . c_j in the buffer."""
        return torch.mm(a[rows], c[columns].T, out=_shaped(buffer, rows, columns))

    def matrix(self, rows: slice, columns: slice, buffer: Tensor) -> Tensor:
        """The weights as a full matrix of numbers in the buffer."""
        weights = self.weights(rows, columns)
        return _shaped(buffer, rows, columns).copy_(
            weights.view(torch.uint8) if weights.dtype == torch.bool else weights
        )


def _shaped(buffer: Tensor, rows: slice, columns: slice) -> Tensor:
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    return buffer[: shape[0] * shape[1]].view(shape)
