"""Relations given pair by pair: edges, a matrix, and the sorted list that short relations are turned into."""

from __future__ import annotations

import torch
from attrs import field, frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.relations.algebra import List, Relation
from contrast_core.relations.block import Block


class _Weighted(Relation):
    """What relations with a list of pairs share: whether their weights, if any, are 0/1 and carry gradients."""

    weight: Tensor | None

    @property
    def binary(self) -> bool:  # type: ignore[override]
        """Whether all weights are 1, or none were given."""
        return self.weight is None or self.weight.dtype == torch.bool

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether the weights carry gradients."""
        return self.weight is not None and self.weight.requires_grad


@frozen(eq=False, repr=False)
class Edges(_Weighted):
    """R_ij = w_e for a listed edge e = (i, j), else 0; every pair at most once."""

    i: Tensor
    j: Tensor
    weight: Tensor | None = None

    def __attrs_post_init__(self) -> None:
        shapes = f"{tuple(self.i.shape)} and {tuple(self.j.shape)}"
        if self.i.dim() != 1 or self.i.shape != self.j.shape:
            raise ValueError(f"Edges are two lists of one length, not of shapes {shapes}.")
        for index in (self.i, self.j):
            if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
                raise ValueError(f"Edges are two lists of row numbers (integers), not of {index.dtype}.")
        if len(self.i):
            key = (self.i.long() - int(self.i.min())) * (int(self.j.max()) - int(self.j.min()) + 1) + self.j
            if len(torch.unique(key)) != len(key):
                raise ValueError("An edge is listed twice; add up the weights of equal edges first.")
        if self.weight is not None and self.weight.shape != self.i.shape:
            raise ValueError(f"There are {len(self.i)} edges but weights of shape {tuple(self.weight.shape)}.")
        if self.weight is not None:
            refuse_negative("Weights of edges", self.weight)

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError if an edge points outside of the tables."""
        for side, index, table in (("anchor", self.i, anchors), ("candidate", self.j, candidates)):
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(table):
                worst = int(index.max()) if int(index.max()) >= len(table) else int(index.min())
                raise ValueError(f"An edge names {side} {worst}, but there are {len(table)} {side}s (0-based).")

    def weigh(self, block: Block) -> Tensor:
        """The weights of the edges among the pairs."""
        return self.prepared(block.anchors, block.candidates).weigh(block)

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> List | None:
        """The edges themselves."""
        return (self.i.long(), self.j.long()) if len(self.i) <= limit else None

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """The edges sorted."""
        return Listed.of(self.i.long(), self.j.long(), self.weight, len(candidates))

    def transposed(self) -> Relation:
        """The edges turned round."""
        return Edges(self.j, self.i, self.weight)

    def __repr__(self) -> str:
        return f"edges({len(self.i)} pairs)"


@frozen(eq=False, repr=False)
class Listed(_Weighted):
    """Edges sorted by (i, j): the form in which the engine evaluates short relations."""

    i: Tensor
    j: Tensor
    key: Tensor
    weight: Tensor | None
    candidates: int

    @classmethod
    def of(cls, i: Tensor, j: Tensor, weight: Tensor | None, candidates: int) -> Listed:
        """Sort a list without repetitions; `candidates` is their number m."""
        key, order = (i * candidates + j).sort()
        return cls(i[order], j[order], key, None if weight is None else weight[order], candidates)

    def weigh(self, block: Block) -> Tensor:
        """Write the listed pairs into an empty tile; look up any other set of pairs."""
        upright = block.i.dim() == 2 and block.i.shape[1] == 1 and block.j.shape[0] == 1
        if block.rows is not None and block.columns is not None and upright:
            return self._written(block.rows, block.columns)
        wanted = block.i * self.candidates + block.j
        if not len(self.key):
            return torch.zeros(wanted.shape, dtype=torch.bool, device=wanted.device)
        place = torch.searchsorted(self.key, wanted.contiguous()).clamp(max=len(self.key) - 1)
        found = self.key[place] == wanted
        if self.weight is None:
            return found
        return torch.where(found, self.weight[place], torch.zeros((), dtype=self.weight.dtype, device=found.device))

    def _written(self, rows: slice, columns: slice) -> Tensor:
        ends = torch.tensor([rows.start, rows.stop], device=self.i.device)
        first, last = torch.searchsorted(self.i, ends).tolist()
        i, j = self.i[first:last], self.j[first:last]
        inside = ((j >= columns.start) & (j < columns.stop)).nonzero().squeeze(1)
        place = (i[inside] - rows.start, j[inside] - columns.start)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        if self.weight is None:
            tile = torch.zeros(shape, dtype=torch.bool, device=i.device)
            tile[place] = True
            return tile
        return self.weight.new_zeros(shape).index_put(place, self.weight[first:last][inside])

    def __repr__(self) -> str:
        return f"edges({len(self.i)} pairs)"


@frozen(eq=False, repr=False)
class Dense(Relation):
    """R_ij = M_ij of a given (n, m) matrix, boolean or >= 0; for tests and small odd cases: it takes n x m memory."""

    matrix: Tensor = field()

    def __attrs_post_init__(self) -> None:
        if self.matrix.dim() != 2:
            raise ValueError(f"A dense relation is a matrix (n, m), not of shape {tuple(self.matrix.shape)}.")
        refuse_negative("Weights of a dense relation", self.matrix)

    @property
    def binary(self) -> bool:  # type: ignore[override]
        """Whether the matrix is boolean."""
        return self.matrix.dtype == torch.bool

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether the matrix carries gradients."""
        return self.matrix.requires_grad

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError if the matrix does not fit the tables."""
        if self.matrix.shape != (len(anchors), len(candidates)):
            wanted = (len(anchors), len(candidates))
            raise ValueError(f"The matrix has shape {tuple(self.matrix.shape)}, but the tables ask for {wanted}.")

    def weigh(self, block: Block) -> Tensor:
        """The entries."""
        if block.rows is None or block.columns is None:
            return self.matrix[block.i, block.j]
        tile = self.matrix[block.rows, block.columns]
        return tile if block.i.shape[0] == len(tile) and block.j.shape[0] == 1 else tile.T

    def transposed(self) -> Relation:
        """The transposed matrix."""
        return Dense(self.matrix.T)

    def __repr__(self) -> str:
        return f"dense({self.matrix.shape[0]} x {self.matrix.shape[1]})"


def refuse_negative(what: str, weights: Tensor) -> None:
    """Raise ValueError if a weight is below 0."""
    if weights.dtype != torch.bool and weights.numel() and float(weights.detach().min()) < 0:
        raise ValueError(f"{what} are >= 0 (0 means not related), but one is {float(weights.detach().min()):g}.")
