"""Statistics for any similarity and any relation, learned ones too: blocks of rows recomputed by autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from attrs import frozen
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from contrast_core.embeddings import Embeddings
from contrast_core.pairwise.tiles import spans
from contrast_core.relations import Block, Relation
from contrast_core.similarity import Rows, Similarity

ENTRIES = 2**18
"""Pairs alive at once: some ten tensors of this size stay in a processor's shared cache."""
SMALL = 2**16
"""Up to so many pairs plain autograd on the whole matrix is the faster way."""


@frozen(eq=False)
class Problem:
    """One statistic's inputs.

    Args:
        anchors: the table of n rows.
        candidates: the table of m rows.
        relation: who meets whom.
        similarity: how alike two rows are.
        a: the anchors' rows as the similarity prepared them.
        c: the candidates' rows likewise.
        temperature: a number or a tensor that broadcasts to (n, m).
        kind: the type that sums are computed in.
        side: the side of a tile, or None for the engine's choice.
    """

    anchors: Embeddings
    candidates: Embeddings
    relation: Relation
    similarity: Similarity
    a: Rows
    c: Rows
    temperature: float | Tensor
    kind: torch.dtype
    side: int | None

    def weights(self, rows: slice, relation: Relation | None = None) -> Tensor:
        """Weights of some anchors with all candidates; they broadcast to (r, m)."""
        everyone = slice(0, len(self.candidates))
        return self._weigh(Block.tile(self.anchors, self.candidates, rows, everyone), relation or self.relation)

    def _weigh(self, block: Block, relation: Relation) -> Tensor:
        """A gradient only if the relation declares one, and fractions in the type of the similarities."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.relation.differentiable):
            weights = relation.weigh(block)
        return weights.to(self.kind) if weights.is_floating_point() else weights

    def scaled(self, similarities: Tensor, rows: slice) -> Tensor:
        """Logits of a block."""
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() == 2 and len(temperature) > 1:
            temperature = temperature[rows]
        return similarities / temperature

    def listed(self, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and weights, (p,) each, of listed pairs."""
        a, c = (tuple(x.index_select(0, at) for x in rows) for rows, at in ((self.a, i), (self.c, j)))
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() == 2:
            temperature = temperature[i if len(temperature) > 1 else 0, j if temperature.shape[1] > 1 else 0]
        return self.similarity.listed(a, c) / temperature, self.listed_weights(i, j)

    def listed_weights(self, i: Tensor, j: Tensor) -> Tensor:
        """Weights, (p,), of listed pairs."""
        return self._weigh(Block(self.anchors, self.candidates, i, j), self.relation).expand(i.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return len(self.anchors), len(self.candidates)

    def is_small(self) -> bool:
        """Whether plain autograd on the whole matrix is the faster way."""
        n, m = self.shape
        return self.side is None and n * m <= SMALL

    def by_hand(self) -> bool:
        """Whether the hand-written functions apply."""
        return self.similarity.bilinear and not self.relation.differentiable

    def rows_at_once(self) -> int:
        """How many anchors a block holds."""
        if self.side is not None:
            return self.side
        numbers = max(self.similarity.numbers_per_pair(self.a, self.c), self.relation.numbers_per_pair)
        return max(1, ENTRIES // max(self.shape[1] * numbers, 1))


Statistic = Callable[[Tensor, Tensor, slice], tuple[Tensor, ...]]
"""From a block's similarities (r, m), weights (r, m) and rows to tensors with one entry a row."""


def by_blocks(problem: Problem, statistic: Statistic) -> tuple[Tensor, ...]:
    """The statistic of every row; a block's intermediate values live only while it is computed."""
    n, m = problem.shape
    relation = problem.relation
    if not problem.is_small():
        with torch.set_grad_enabled(torch.is_grad_enabled() and relation.differentiable):
            relation = relation.prepared(problem.anchors, problem.candidates)

    def compute(rows: slice, a: Rows) -> tuple[Tensor, ...]:
        similarities = problem.similarity.between(a, problem.c)
        weights = problem.weights(rows, relation)
        return statistic(similarities, weights.expand(rows.stop - rows.start, m), rows)

    if problem.is_small() or not n:
        return compute(slice(0, n), problem.a)
    parts = []
    # One split has one gradient for all blocks; a slice for each block would add up n x d zeros every time.
    for rows, a in zip(spans(n, side := problem.rows_at_once()), _split(problem.a, side), strict=True):
        parts.append(
            cast(
                "tuple[Tensor, ...]",
                checkpoint(compute, rows, a, use_reentrant=False, preserve_rng_state=False),
            )
            if torch.is_grad_enabled()
            else compute(rows, a)
        )
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _split(rows: Rows, side: int) -> Sequence[Rows]:
    return list(zip(*(tensor.split(side) for tensor in rows), strict=True))
