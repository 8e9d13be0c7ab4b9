"""What a relation is, and the relations made of relations: & | ~ * and transposition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.relations.block import Block, broadcast

List = tuple[Tensor, Tensor]
"""Indices (i, j), each (p,), of listed pairs."""


class Relation(ABC):
    """Base of all relations: implement `weigh`, and `columns` if the relation reads any."""

    columns: frozenset[str] = frozenset()
    """Columns (or fields) that both tables must have."""
    candidate_columns: frozenset[str] = frozenset()
    """Columns that only the candidates must have."""
    anchor_columns: frozenset[str] = frozenset()
    """Columns that only the anchors must have."""
    differentiable: bool = False
    """Whether weights carry gradients (the engine then recomputes through autograd)."""
    binary: bool = False
    """Whether every weight is 0 or 1 (given as a boolean tensor)."""
    symmetric: bool = False
    """Whether R_ij = R_ji is known for a table with itself."""
    of_columns: bool = False
    """Whether a pair's weight is a function of the two rows' columns alone, whatever their places in the tables are."""
    numbers_per_pair: int = 1
    """How many numbers `weigh` holds at once for each pair; the engine chooses its blocks by that."""
    strength: int = 4
    """How strongly its written form binds, as in Python: | 0, & 1, * 2, ~ 3, names and calls 4."""

    @abstractmethod
    def weigh(self, block: Block) -> Tensor:
        """Weights at the pairs of `block`: boolean, or numbers >= 0; broadcasts to `block.shape`."""

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> List | None:
        """Indices (i, j), each (p,), with p <= `limit`, that hold every related pair; None if that is no short list.

        No pair is listed twice; listed pairs may still have weight 0. With such a list, sums over the relation cost
        O(p d) and need no tiles.
        """
        return None

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """The same relation between these two tables, with all work done that is needed once, not once a tile."""
        return self

    def transposed(self) -> Relation:
        """The same relation with anchors and candidates exchanged."""
        return Transposed(self)

    def atoms(self) -> Iterator[Relation]:
        """The relations that this one is a Boolean function of: itself, unless it is made by & | ~ of others."""
        yield self

    def truth(self, value: Callable[[Relation], Tensor]) -> Tensor:
        """That Boolean function: whether pairs are related, given whether they are in each atom; by broadcasting."""
        return value(self)

    def identity(self) -> object:
        """What two relations have in common that are the same relation written twice: here, being one object."""
        return id(self)

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError, naming relation, side and column, if a needed column is missing."""
        sides = (
            ("anchors", anchors, self.anchor_columns),
            ("candidates", candidates, self.candidate_columns),
        )
        for side, table, own in sides:
            for column in sorted(self.columns | own):
                if column not in table:
                    have = ", ".join([*table.fields, *table.columns])
                    raise ValueError(
                        f"The relation {self} needs the column '{column}', which the {side} lack; they have {have}."
                    )

    def __and__(self, other: Relation) -> Relation:
        return Both(self, other)

    def __or__(self, other: Relation) -> Relation:
        return Either(self, other)

    def __invert__(self) -> Relation:
        return Complement(self)

    def __mul__(self, other: Relation) -> Relation:
        return Product(self, other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def inside(self, strength: int) -> str:
        """Its written form as a part of a larger one, in parentheses where that binds more strongly."""
        return f"({self})" if self.strength < strength else str(self)


def compared(comparison: Callable[..., Tensor], x: Tensor, y: Tensor | float) -> Tensor:
    """Boolean result of an elementwise comparison such as torch.eq, without gradient.

    On a CPU, torch writes bytes several times faster than booleans, which are bytes as well.
    """
    if not isinstance(y, Tensor):
        y = torch.as_tensor(y, device=x.device)
    x, y = x.detach(), y.detach()
    shape = broadcast(x, y)
    if shape.numel() < 2**14:
        return comparison(x, y)
    result = torch.empty(shape, dtype=torch.uint8, device=x.device)
    comparison(x, y, out=result)
    return result.view(torch.bool)


def related(weights: Tensor) -> Tensor:
    """Where weights are not 0, as a boolean tensor."""
    return weights if weights.dtype == torch.bool else compared(torch.gt, weights, 0)


@frozen(eq=False, repr=False)
class Everything(Relation):
    """R_ij = 1 for every pair."""

    binary = True
    of_columns = True
    symmetric = True

    def weigh(self, block: Block) -> Tensor:
        """All true."""
        return torch.ones((1,) * len(block.shape), dtype=torch.bool, device=block.i.device)

    def transposed(self) -> Relation:
        """Itself."""
        return self

    def __repr__(self) -> str:
        return "everything"


class _Combined(Relation):
    """What relations made of relations share: they need and differentiate what their parts do."""

    def atoms(self) -> Iterator[Relation]:
        """Those of the parts."""
        for part in self.parts():
            yield from part.atoms()

    @abstractmethod
    def parts(self) -> Iterator[Relation]:
        """The relations this one is made of."""

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """Whether all parts are."""
        return all(part.symmetric for part in self.parts())

    @property
    def of_columns(self) -> bool:  # type: ignore[override]
        """Whether all parts are."""
        return all(part.of_columns for part in self.parts())

    @property
    def numbers_per_pair(self) -> int:  # type: ignore[override]
        """The most that a part holds."""
        return max(part.numbers_per_pair for part in self.parts())

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Check every part."""
        for part in self.parts():
            part.check(anchors, candidates)


@frozen(eq=False, repr=False)
class _Pair(_Combined):
    """A relation made of two."""

    left: Relation
    right: Relation

    def parts(self) -> Iterator[Relation]:
        """Left and right."""
        yield from (self.left, self.right)

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> List | None:
        """The shorter of the parts' lists."""
        lists = [found for part in self.parts() if (found := part.listed(anchors, candidates, limit)) is not None]
        return min(lists, key=lambda pair: len(pair[0]), default=None)

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """Both parts prepared."""
        return type(self)(self.left.prepared(anchors, candidates), self.right.prepared(anchors, candidates))

    def transposed(self) -> Relation:
        """Both parts transposed."""
        return type(self)(self.left.transposed(), self.right.transposed())


@frozen(eq=False, repr=False)
class Both(_Pair):
    """R & S: 1 where both parts are > 0."""

    binary = True
    strength = 1

    def weigh(self, block: Block) -> Tensor:
        """Logical and."""
        return related(self.left.weigh(block)) & related(self.right.weigh(block))

    def truth(self, value: Callable[[Relation], Tensor]) -> Tensor:
        """Logical and."""
        return self.left.truth(value) & self.right.truth(value)

    def __repr__(self) -> str:
        return f"{self.left.inside(1)} & {self.right.inside(1)}"


@frozen(eq=False, repr=False)
class Either(_Pair):
    """R | S: 1 where either part is > 0."""

    binary = True
    strength = 0

    def weigh(self, block: Block) -> Tensor:
        """Logical or."""
        return related(self.left.weigh(block)) | related(self.right.weigh(block))

    def truth(self, value: Callable[[Relation], Tensor]) -> Tensor:
        """Logical or."""
        return self.left.truth(value) | self.right.truth(value)

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> List | None:
        """The union of the parts' lists, if both have one."""
        left = self.left.listed(anchors, candidates, limit)
        right = self.right.listed(anchors, candidates, limit) if left is not None else None
        if left is None or right is None:
            return None
        m = max(len(candidates), 1)
        key = torch.unique(torch.cat([left[0] * m + left[1], right[0] * m + right[1]]))
        return (key // m, key % m) if len(key) <= limit else None

    def __repr__(self) -> str:
        return f"{self.left.inside(0)} | {self.right.inside(0)}"


@frozen(eq=False, repr=False)
class Product(_Pair):
    """R * S: the product of the weights; with a 0/1 relation it keeps the other's weights where that is 1."""

    strength = 2

    @property
    def binary(self) -> bool:  # type: ignore[override]
        """Whether both parts are."""
        return self.left.binary and self.right.binary

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether either part is."""
        return self.left.differentiable or self.right.differentiable

    def atoms(self) -> Iterator[Relation]:
        """Those of both parts, if these are 0/1; a product of other weights is no Boolean function."""
        yield from _Pair.atoms(self) if self.binary else (self,)

    def truth(self, value: Callable[[Relation], Tensor]) -> Tensor:
        """Logical and, if both parts are 0/1."""
        return self.left.truth(value) & self.right.truth(value) if self.binary else value(self)

    def weigh(self, block: Block) -> Tensor:
        """Product of both."""
        left, right = self.left.weigh(block), self.right.weigh(block)
        if left.dtype == right.dtype == torch.bool:
            return left & right
        if not left.is_floating_point() and not right.is_floating_point():
            # Counts are kept in bytes, where 20 * 20 would overflow.
            left = left.to(torch.get_default_dtype())
        return _plain(left) * _plain(right)

    def __repr__(self) -> str:
        return f"{self.left.inside(2)} * {self.right.inside(2)}"


def _plain(weights: Tensor) -> Tensor:
    # Products with bytes are faster than with booleans, and the same.
    return weights.view(torch.uint8) if weights.dtype == torch.bool else weights


@frozen(eq=False, repr=False)
class Complement(_Combined):
    """~R: 1 where the part is 0."""

    part: Relation
    binary = True
    strength = 3

    def parts(self) -> Iterator[Relation]:
        """The part."""
        yield self.part

    def weigh(self, block: Block) -> Tensor:
        """Logical not."""
        return ~related(self.part.weigh(block))

    def truth(self, value: Callable[[Relation], Tensor]) -> Tensor:
        """Logical not."""
        return ~self.part.truth(value)

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> List | None:
        """What the part's part lists, under a double complement."""
        inner = self.part
        return inner.part.listed(anchors, candidates, limit) if isinstance(inner, Complement) else None

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """The prepared part's complement."""
        return Complement(self.part.prepared(anchors, candidates))

    def transposed(self) -> Relation:
        """The transposed part's complement."""
        return Complement(self.part.transposed())

    def __repr__(self) -> str:
        return f"~{self.part.inside(3)}"


@frozen(eq=False, repr=False)
class Transposed(_Combined):
    """R transposed: R'_ij = R_ji, for relations that have no shorter way to say it."""

    part: Relation

    @property
    def columns(self) -> frozenset[str]:  # type: ignore[override]
        """As the part."""
        return self.part.columns

    @property
    def anchor_columns(self) -> frozenset[str]:  # type: ignore[override]
        """What the part needs of its candidates."""
        return self.part.candidate_columns

    @property
    def candidate_columns(self) -> frozenset[str]:  # type: ignore[override]
        """What the part needs of its anchors."""
        return self.part.anchor_columns

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
        """Check the needed columns, so that a message names the side as it is here, then the part's own demands."""
        Relation.check(self, anchors, candidates)
        self.part.check(candidates, anchors)

    def atoms(self) -> Iterator[Relation]:
        """Itself: its part's atoms look at the tables the other way round."""
        yield self

    def weigh(self, block: Block) -> Tensor:
        """The part's weight with the ends exchanged."""
        return self.part.weigh(block.flipped())

    def listed(self, anchors: Embeddings, candidates: Embeddings, limit: int) -> List | None:
        """The part's list turned round."""
        found = self.part.listed(candidates, anchors, limit)
        return None if found is None else (found[1], found[0])

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """The prepared part, transposed."""
        return Transposed(self.part.prepared(candidates, anchors))

    def transposed(self) -> Relation:
        """The part."""
        return self.part

    def __repr__(self) -> str:
        return f"{self.part.inside(4)}.transposed()"


everything = Everything()
