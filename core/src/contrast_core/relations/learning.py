"""Relations whose weights a module computes and learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from attrs import frozen
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.relations.algebra import Relation
from contrast_core.relations.block import Block

HIDDEN = 4
"""Numbers held for each pair by a module that does not say; blocks then take tens of MB with 16 hidden units."""


@runtime_checkable
class InStages(Protocol):
    """A module of two rows that does what it can for each row by itself, before pairs are formed.

    With d -> h projections in the row stages, per pair only h numbers are touched instead of d. A module that never
    holds h numbers for each pair, because it goes by `additive_scores`, says so by `numbers_per_pair = 1`: its blocks
    are then larger and faster.
    """

    def anchor_rows(self, z: Tensor) -> Tensor:
        """What the weights need of the anchors: (n, d) -> (n, h)."""

    def candidate_rows(self, z: Tensor) -> Tensor:
        """What the weights need of the candidates: (m, d) -> (m, h)."""

    def between(self, a: Tensor, c: Tensor) -> Tensor:
        """Weights >= 0, (...), of broadcastable stacks of prepared rows (..., h)."""


@frozen(eq=False, repr=False)
class Learned(Relation):
    """R_ij = g(a_i, c_j), computed by a module from a field; gradients reach the module and both rows.

    The module gets broadcastable stacks of rows, (..., d) each, and returns weights >= 0 of shape (...). A module
    that is `InStages` is not called; its stages are. It should draw no random numbers and change no state: the engine
    evaluates it twice, forward and backward.
    """

    module: nn.Module | Callable[[Tensor, Tensor], Tensor] | InStages
    field: str = "z"
    differentiable = True

    @property
    def numbers_per_pair(self) -> int:  # type: ignore[override]
        """What the module says, or a guess at its hidden units."""
        return int(getattr(self.module, "numbers_per_pair", HIDDEN))

    @property
    def columns(self) -> frozenset[str]:  # type: ignore[override]
        """The field."""
        return frozenset({self.field})

    def weigh(self, block: Block) -> Tensor:
        """The module's weights."""
        a, c = map(at_least_float32, block.values(self.field))
        if isinstance(self.module, InStages):
            return self.module.between(self.module.anchor_rows(a), self.module.candidate_rows(c))
        return self.module(a, c)

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """The row stages done, if the module has any."""
        if not isinstance(self.module, InStages):
            return self
        a = self.module.anchor_rows(at_least_float32(anchors[self.field]))
        c = self.module.candidate_rows(at_least_float32(candidates[self.field]))
        return _Staged(self, self.module, a, c)

    def __repr__(self) -> str:
        field = "" if self.field == "z" else f", field={self.field!r}"
        return f"learned({getattr(self.module, '__name__', type(self.module).__name__)}{field})"


@frozen(eq=False, repr=False)
class _Staged(Relation):
    """The last stage of a learned relation: weights of prepared rows."""

    of: Relation
    module: InStages
    a: Tensor
    c: Tensor
    differentiable = True

    def weigh(self, block: Block) -> Tensor:
        """The module's weights of the pairs."""
        return self.module.between(block.of_anchors(self.a), block.of_candidates(self.c))

    def __repr__(self) -> str:
        return repr(self.of)
