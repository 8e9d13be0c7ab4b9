"""Relations between rows by how far apart their entries of one column are, such as the labels of a regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.relations.algebra import Relation, compared
from contrast_core.relations.block import Block
from contrast_core.relations.columns import OfOneColumn

Weighting = Literal["L1_inv", "L1", "L2_inv", "L2"]
"""|y_i - y_j| + 1, 1 / (|y_i - y_j| + 1), (y_i - y_j)^2 + 1 and 1 / ((y_i - y_j)^2 + 1), by SupReMix's names."""

# A tile of differences is the relation's own, so it is changed in place.
_WEIGHTINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "L1_inv": lambda difference: difference.abs_().add_(1),
    "L1": lambda difference: difference.abs_().add_(1).reciprocal_(),
    "L2_inv": lambda difference: difference.square_().add_(1),
    "L2": lambda difference: difference.square_().add_(1).reciprocal_(),
}


class _OfNumbers(OfOneColumn):
    """A relation that looks at the difference of one number a row, and does not mind its sign."""

    symmetric = True

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError if the column is missing or has more than one entry a row."""
        Relation.check(self, anchors, candidates)
        for side, table in (("anchors", anchors), ("candidates", candidates)):
            shape = tuple(table[self.column].shape)
            if len(shape) != 1:
                raise ValueError(
                    f"The relation {self} takes the difference of one number a row, but the column '{self.column}' of "
                    f"the {side} has shape {shape}."
                )

    def transposed(self) -> Relation:
        """Itself: distance is symmetric."""
        return self

    def _difference(self, block: Block) -> Tensor:
        a, c = block.values(self.column)
        return numbers(a) - numbers(c)


@frozen(eq=False, repr=False)
class Distance(_OfNumbers):
    """R_ij = a function of |y_i - y_j|, the distance of two entries of a column (n,)."""

    column: str
    weighting: Weighting = "L1_inv"

    def __attrs_post_init__(self) -> None:
        if self.weighting not in _WEIGHTINGS:
            raise ValueError(f"A distance weighs as {', '.join(_WEIGHTINGS)}, not as {self.weighting!r}.")

    def weigh(self, block: Block) -> Tensor:
        """The function of the difference."""
        return _WEIGHTINGS[self.weighting](self._difference(block))

    def __repr__(self) -> str:
        return f"distance({self.column!r}, {self.weighting!r})"


@frozen(eq=False, repr=False)
class Near(_OfNumbers):
    """R_ij = 1 where |y_i - y_j| <= tolerance."""

    column: str
    tolerance: float
    binary = True

    def __attrs_post_init__(self) -> None:
        if not self.tolerance >= 0:
            raise ValueError(f"A tolerance is a distance and at least 0, not {self.tolerance}.")

    def weigh(self, block: Block) -> Tensor:
        """The comparison with the tolerance."""
        apart = self._difference(block).abs_()
        return compared(torch.le, apart, torch.tensor(self.tolerance, dtype=apart.dtype, device=apart.device))

    def identity(self) -> object:
        """Column and tolerance."""
        return ("near", self.column, self.tolerance)

    def __repr__(self) -> str:
        return f"near({self.column!r}, {self.tolerance})"


def numbers(column: Tensor) -> Tensor:
    """Entries of a column, without gradient, as floating-point numbers whose differences are right."""
    return at_least_float32(column.detach()) if column.is_floating_point() else column.double()
