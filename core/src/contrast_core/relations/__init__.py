"""Relations: which anchor meets which candidate, and with what weight.

A relation R gives every pair (i, j) a weight R_ij >= 0; 0 means "not related". It is a function of the two rows'
columns and is evaluated where it is needed, tile by tile or for a list of pairs, never as an n x m matrix.

    R & S    related in both           (weight 1 or 0)        R * S    product of the weights
    R | S    related in either         (weight 1 or 0)        ~R       not related (weight 1 or 0)
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from contrast_core.embeddings import code
from contrast_core.relations.algebra import (
    Both,
    Complement,
    Either,
    Everything,
    Product,
    Relation,
    Transposed,
    everything,
)
from contrast_core.relations.block import Block
from contrast_core.relations.columns import Differing, Kernel, Same, Where
from contrast_core.relations.explicit import Dense, Edges
from contrast_core.relations.graded import Distance, Near, Weighting
from contrast_core.relations.learning import InStages, Learned

__all__ = [
    "Block",
    "Both",
    "Complement",
    "Dense",
    "Differing",
    "Distance",
    "Edges",
    "Either",
    "Everything",
    "InStages",
    "Kernel",
    "Learned",
    "Near",
    "Product",
    "Relation",
    "Same",
    "Transposed",
    "Weighting",
    "Where",
    "dense",
    "differing",
    "distance",
    "edges",
    "everything",
    "kernel",
    "learned",
    "near",
    "same",
    "where",
]


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


def differing(column: str) -> Relation:
    """Weights 0 to k: in how many of its k entries the `column`, (n, k), differs between the two rows."""
    return Differing(column)


def distance(column: str, weighting: Weighting = "L1_inv") -> Relation:
    """Weights from the distance d of a column's two entries: d + 1 (L1_inv), its inverse (L1), d^2 + 1 (L2_inv), L2."""
    return Distance(column, weighting)


def near(column: str, tolerance: float) -> Relation:
    """Related where the entries of a column differ by no more than the tolerance."""
    return Near(column, tolerance)


def learned(module: nn.Module | Callable[[Tensor, Tensor], Tensor], field: str = "z") -> Relation:
    """Weights from a module of two rows, differentiable."""
    return Learned(module, field)


def dense(matrix: Tensor) -> Relation:
    """Weights from an explicit (n, m) matrix."""
    return Dense(matrix)
