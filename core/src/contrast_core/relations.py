"""Relations: which anchor meets which candidate, and with what weight.

A relation R gives every pair (i, j) a weight R_ij >= 0; 0 means "not related". It is a function of the two rows'
columns and is evaluated where it is needed, tile by tile or for a list of pairs, never as an n x m matrix.

    R & S    related in both           (weight 1 or 0)        R * S    product of the weights
    R | S    related in either         (weight 1 or 0)        ~R       not related (weight 1 or 0)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from attrs import evolve, field, frozen
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings, code


@frozen(eq=False)
class Block:
    """A set of index pairs (i, j) at which a relation is evaluated: `i` and `j` are long tensors that broadcast.

    A tile is i of shape (r, 1) and j of shape (1, c); a list of p pairs is i and j of shape (p,).
    """

    anchors: Embeddings
    candidates: Embeddings
    i: Tensor
    j: Tensor

    @classmethod
    def tile(cls, anchors: Embeddings, candidates: Embeddings, rows: slice, columns: slice) -> Block:
        """All pairs of the anchors in `rows` with the candidates in `columns`."""
        i = torch.arange(rows.start, rows.stop, device=anchors.device)
        j = torch.arange(columns.start, columns.stop, device=anchors.device)
        return cls(anchors, candidates, i[:, None], j[None, :])

    def values(self, column: str) -> tuple[Tensor, Tensor]:
        """The column's entries at both ends, ready to broadcast."""
        return self.anchors[column][self.i], self.candidates[column][self.j]

    @property
    def shape(self) -> torch.Size:
        """The shape of the weights to return."""
        return torch.broadcast_shapes(self.i.shape, self.j.shape)


class Relation(ABC):
    """Base of all relations: implement `weigh`, and `columns` if the relation reads any."""

    columns: frozenset[str] = frozenset()
    """Columns that both tables must have."""
    candidate_columns: frozenset[str] = frozenset()
    """Columns that only the candidates must have."""
    anchor_columns: frozenset[str] = frozenset()
    """Columns that only the anchors must have."""
    differentiable: bool = False
    """Whether weights carry gradients (the engine then recomputes through autograd)."""
    binary: bool = False
    """Whether every weight is 0 or 1 (given as a boolean tensor)."""

    @abstractmethod
    def weigh(self, block: Block) -> Tensor:
        """Weights at the pairs of `block`: boolean, or floating and >= 0; broadcasts to `block.shape`."""

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> tuple[Tensor, Tensor] | None:
        """Indices (i, j), each (p,), with p <= `limit`, that hold every related pair; None if that is no short list.

        Listed pairs may still have weight 0. With such a list, sums over the relation cost O(p d) and need no tiles.
        """
        return None

    def transposed(self) -> Relation:
        """The same relation with anchors and candidates exchanged."""
        return Transposed(self)

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError, naming relation, side and column, if a needed column is missing."""
        sides = (("anchors", anchors, self.anchor_columns), ("candidates", candidates, self.candidate_columns))
        for side, table, own in sides:
            for column in sorted(self.columns | own):
                if column not in table:
                    have = ", ".join(table.columns) or "none"
                    raise ValueError(f"The relation {self} needs the column '{column}', which the {side} lack: {have}.")

    def __and__(self, other: Relation) -> Relation:
        return Both(self, other)

    def __or__(self, other: Relation) -> Relation:
        return Either(self, other)

    def __invert__(self) -> Relation:
        return Complement(self)

    def __mul__(self, other: Relation) -> Relation:
        return Product(self, other)


def _related(weights: Tensor) -> Tensor:
    return weights if weights.dtype == torch.bool else weights > 0


@frozen(eq=False)
class Everything(Relation):
    """R_ij = 1 for every pair."""

    binary = True

    def weigh(self, block: Block) -> Tensor:
        """All true."""
        return torch.ones((1,) * len(block.shape), dtype=torch.bool, device=block.i.device)

    def transposed(self) -> Relation:
        """Itself."""
        return self


@frozen(eq=False)
class Same(Relation):
    """R_ij = 1 where the column has the same entry in both rows (and that entry is not `missing`)."""

    column: str
    missing: int | None = None
    binary = True
    columns: frozenset[str] = field(init=False)

    @columns.default
    def _columns(self) -> frozenset[str]:
        return frozenset({self.column})

    def weigh(self, block: Block) -> Tensor:
        """Equality of the two entries."""
        a, b = block.values(self.column)
        equal = a == b
        return equal if self.missing is None else equal & (a != self.missing)

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> tuple[Tensor, Tensor] | None:
        """A sorted merge join on the column."""
        ours, theirs = anchors[self.column], candidates[self.column]
        ordered, order = theirs.sort(stable=True)
        start = torch.searchsorted(ordered, ours.contiguous())
        counts = torch.searchsorted(ordered, ours.contiguous(), right=True) - start
        total = int(counts.sum())
        if total > limit:
            return None
        i = torch.repeat_interleave(torch.arange(len(ours), device=ours.device), counts)
        within = torch.arange(total, device=ours.device) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        return i, order[start[i] + within]

    def transposed(self) -> Relation:
        """Itself: equality is symmetric."""
        return self


@frozen(eq=False)
class Where(Relation):
    """R_ij = 1 where the column of the candidate (or of the anchor) has the given value."""

    column: str
    value: int
    side: str = "candidates"
    binary = True
    anchor_columns: frozenset[str] = field(init=False)
    candidate_columns: frozenset[str] = field(init=False)

    @anchor_columns.default
    def _anchor_columns(self) -> frozenset[str]:
        return frozenset({self.column} if self.side == "anchors" else ())

    @candidate_columns.default
    def _candidate_columns(self) -> frozenset[str]:
        return frozenset({self.column} if self.side == "candidates" else ())

    def weigh(self, block: Block) -> Tensor:
        """Equality with the value on one side."""
        if self.side == "anchors":
            return block.anchors[self.column][block.i] == self.value
        return block.candidates[self.column][block.j] == self.value

    def transposed(self) -> Relation:
        """The condition on the other side."""
        return evolve(self, side="candidates" if self.side == "anchors" else "anchors")


@frozen(eq=False)
class Edges(Relation):
    """R_ij = w_e for a listed edge e = (i, j), else 0; every pair at most once."""

    i: Tensor
    j: Tensor
    weight: Tensor | None = None

    def __attrs_post_init__(self) -> None:
        if self.i.dim() != 1 or self.i.shape != self.j.shape:
            raise ValueError(f"Edges are two lists of one length, not {tuple(self.i.shape)} and {tuple(self.j.shape)}.")
        if len(self.i) and len(torch.unique(torch.stack([self.i, self.j]), dim=1)[0]) != len(self.i):
            raise ValueError("An edge is listed twice; add up the weights of equal edges first.")
        if self.weight is not None and self.weight.shape != self.i.shape:
            raise ValueError(f"There are {len(self.i)} edges but {len(self.weight)} weights.")

    @property
    def binary(self) -> bool:  # type: ignore[override]
        """Whether no weights were given."""
        return self.weight is None

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether the weights carry gradients."""
        return self.weight is not None and self.weight.requires_grad

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError if an edge points outside of the tables."""
        for side, index, table in (("anchor", self.i, anchors), ("candidate", self.j, candidates)):
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(table):
                worst = int(index.max()) if int(index.max()) >= len(table) else int(index.min())
                raise ValueError(f"An edge names {side} {worst}, but there are {len(table)} {side}s (0-based).")

    def weigh(self, block: Block) -> Tensor:
        """Binary search of each pair among the sorted edges."""
        m = len(block.candidates)
        key, order = (self.i * m + self.j).sort()
        wanted = block.i * m + block.j
        if not len(key):
            return torch.zeros(wanted.shape, dtype=torch.bool, device=wanted.device)
        place = torch.searchsorted(key, wanted.contiguous()).clamp(max=len(key) - 1)
        found = key[place] == wanted
        return found if self.weight is None else torch.where(found, self.weight[order][place], 0.0)

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> tuple[Tensor, Tensor] | None:
        """The edges themselves."""
        return (self.i, self.j) if len(self.i) <= limit else None

    def transposed(self) -> Relation:
        """The edges turned round."""
        return Edges(self.j, self.i, self.weight)


@frozen(eq=False)
class Kernel(Relation):
    """R_ij = f(x_i, x_j) of one column; f broadcasts over leading dimensions and returns weights >= 0.

    For a column (n, k), f receives (..., k) on both sides and reduces the last dimension.
    """

    column: str
    function: Callable[[Tensor, Tensor], Tensor]
    columns: frozenset[str] = field(init=False)

    @columns.default
    def _columns(self) -> frozenset[str]:
        return frozenset({self.column})

    def weigh(self, block: Block) -> Tensor:
        """The function of the two entries."""
        return self.function(*block.values(self.column))


@frozen(eq=False)
class Learned(Relation):
    """R_ij = g(a_i, c_j), computed by a module from two fields; gradients reach the module and both rows.

    The module gets broadcastable stacks of rows, (..., d) each, and returns weights >= 0 of shape (...).
    """

    module: nn.Module | Callable[[Tensor, Tensor], Tensor]
    field: str = "z"
    differentiable = True

    def weigh(self, block: Block) -> Tensor:
        """The module's weights."""
        weights: Tensor = self.module(block.anchors[self.field][block.i], block.candidates[self.field][block.j])
        return weights


@frozen(eq=False)
class Dense(Relation):
    """R_ij = M_ij of a given (n, m) matrix, boolean or >= 0; for tests and small odd cases: it takes n x m memory."""

    matrix: Tensor

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
        return self.matrix[block.i, block.j]

    def transposed(self) -> Relation:
        """The transposed matrix."""
        return Dense(self.matrix.T)


class _Combined(Relation):
    """What relations made of relations share: they need and differentiate what their parts do."""

    @abstractmethod
    def parts(self) -> Iterator[Relation]:
        """The relations this one is made of."""

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Check every part."""
        for part in self.parts():
            part.check(anchors, candidates)

    def _shortest(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> tuple[Tensor, Tensor] | None:
        lists = [found for part in self.parts() if (found := part.listed(anchors, candidates, limit)) is not None]
        return min(lists, key=lambda pair: len(pair[0]), default=None)


@frozen(eq=False)
class Both(_Combined):
    """R & S: 1 where both parts are > 0."""

    left: Relation
    right: Relation
    binary = True

    def parts(self) -> Iterator[Relation]:
        """Left and right."""
        yield from (self.left, self.right)

    def weigh(self, block: Block) -> Tensor:
        """Logical and."""
        return _related(self.left.weigh(block)) & _related(self.right.weigh(block))

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> tuple[Tensor, Tensor] | None:
        """The shorter of the parts' lists."""
        return self._shortest(anchors, candidates, limit)

    def transposed(self) -> Relation:
        """Both parts transposed."""
        return Both(self.left.transposed(), self.right.transposed())


@frozen(eq=False)
class Either(_Combined):
    """R | S: 1 where either part is > 0."""

    left: Relation
    right: Relation
    binary = True

    def parts(self) -> Iterator[Relation]:
        """Left and right."""
        yield from (self.left, self.right)

    def weigh(self, block: Block) -> Tensor:
        """Logical or."""
        return _related(self.left.weigh(block)) | _related(self.right.weigh(block))

    def transposed(self) -> Relation:
        """Both parts transposed."""
        return Either(self.left.transposed(), self.right.transposed())


@frozen(eq=False)
class Complement(_Combined):
    """~R: 1 where the part is 0."""

    part: Relation
    binary = True

    def parts(self) -> Iterator[Relation]:
        """The part."""
        yield self.part

    def weigh(self, block: Block) -> Tensor:
        """Logical not."""
        return ~_related(self.part.weigh(block))

    def transposed(self) -> Relation:
        """The transposed part's complement."""
        return Complement(self.part.transposed())


@frozen(eq=False)
class Product(_Combined):
    """R * S: the product of the weights; with a 0/1 relation it keeps the other's weights where that is 1."""

    left: Relation
    right: Relation

    @property
    def binary(self) -> bool:  # type: ignore[override]
        """Whether both parts are."""
        return self.left.binary and self.right.binary

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether either part is."""
        return self.left.differentiable or self.right.differentiable

    def parts(self) -> Iterator[Relation]:
        """Left and right."""
        yield from (self.left, self.right)

    def weigh(self, block: Block) -> Tensor:
        """Product of both."""
        return self.left.weigh(block) * self.right.weigh(block)

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> tuple[Tensor, Tensor] | None:
        """The shorter of the parts' lists."""
        return self._shortest(anchors, candidates, limit)

    def transposed(self) -> Relation:
        """Both parts transposed."""
        return Product(self.left.transposed(), self.right.transposed())


@frozen(eq=False)
class Transposed(_Combined):
    """R transposed: R'_ij = R_ji, for relations that have no shorter way to say it."""

    part: Relation

    @property
    def binary(self) -> bool:  # type: ignore[override]
        """As the part."""
        return self.part.binary

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """As the part."""
        return self.part.differentiable

    def parts(self) -> Iterator[Relation]:
        """The part."""
        yield self.part

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Check the part with the tables exchanged."""
        self.part.check(candidates, anchors)

    def weigh(self, block: Block) -> Tensor:
        """The part's weight with the ends exchanged."""
        return self.part.weigh(Block(block.candidates, block.anchors, block.j, block.i))

    def transposed(self) -> Relation:
        """The part."""
        return self.part


everything = Everything()


def same(column: str, missing: int | None = None) -> Relation:
    """Related where `column` is equal in both rows; the entry `missing` (e.g. label -1) equals nothing."""
    return Same(column, missing)


def where(column: str, value: int | str, side: str = "candidates") -> Relation:
    """Related where `column` of the candidate (or anchor: side='anchors') has `value`."""
    if side not in ("candidates", "anchors"):
        raise ValueError(f"A condition stands on 'candidates' or 'anchors', not on '{side}'.")
    return Where(column, code(value) if isinstance(value, str) else value, side)


def edges(i: Tensor, j: Tensor, weight: Tensor | None = None) -> Relation:
    """Related where (anchor, candidate) is listed in (`i`, `j`), with the given weights or 1."""
    return Edges(i, j, weight)


def kernel(column: str, function: Callable[[Tensor, Tensor], Tensor]) -> Relation:
    """Weights from a function of one column's two entries."""
    return Kernel(column, function)


def learned(module: nn.Module | Callable[[Tensor, Tensor], Tensor], field: str = "z") -> Relation:
    """Weights from a module of two rows, differentiable."""
    return Learned(module, field)


def dense(matrix: Tensor) -> Relation:
    """Weights from an explicit (n, m) matrix."""
    return Dense(matrix)
