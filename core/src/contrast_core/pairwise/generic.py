"""Statistics for any similarity and any relation, learned ones too: blocks of rows recomputed by autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from attrs import frozen
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from contrast_core.embeddings import Embeddings
from contrast_core.pairwise.kernels import spans
from contrast_core.relations import Block, Relation
from contrast_core.similarity import Rows, Similarity

ENTRIES = 2**20
"""Pairs alive at once where weights are plain; a learned relation, with hidden units for each pair, gets a quarter."""


@frozen(eq=False)
class Problem:
    """One statistic's inputs: tables, relation, similarity with its prepared rows, temperature, tile side or None."""

    anchors: Embeddings
    candidates: Embeddings
    relation: Relation
    similarity: Similarity
    a: Rows
    c: Rows
    temperature: float | Tensor
    side: int | None

    def block(self, rows: slice) -> tuple[Tensor, Tensor, slice]:
        """Similarities and weights, (r, m) each, of some anchors with all candidates, and which anchors."""
        similarities = self.similarity.between(tuple(x[rows] for x in self.a), self.c)
        everyone = slice(0, len(self.candidates))
        weights = self.relation.weigh(Block.tile(self.anchors, self.candidates, rows, everyone))
        return similarities, weights.expand(similarities.shape), rows

    def scaled(self, similarities: Tensor, rows: slice) -> Tensor:
        """Logits of a block."""
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() == 2 and len(temperature) > 1:
            temperature = temperature[rows]
        return similarities / temperature

    def listed(self, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and weights, (p,) each, of listed pairs."""
        logits = self.similarity.listed(tuple(x[i] for x in self.a), tuple(x[j] for x in self.c))
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() == 2:
            temperature = temperature.expand(len(self.anchors), len(self.candidates))[i, j]
        return logits / temperature, self.relation.weigh(Block(self.anchors, self.candidates, i, j)).expand(i.shape)

    def is_small(self) -> bool:
        """Whether plain autograd on the whole matrix is the faster way."""
        return self.side is None and len(self.anchors) * len(self.candidates) <= 2**16


Statistic = Callable[[Tensor, Tensor, slice], tuple[Tensor, ...]]
"""From a block's similarities (r, m), weights (r, m) and rows to tensors with one entry a row."""


def by_blocks(problem: Problem, statistic: Statistic) -> tuple[Tensor, ...]:
    """The statistic of every row; a block's intermediate values live only while it is computed."""

    def compute(rows: slice) -> tuple[Tensor, ...]:
        return statistic(*problem.block(rows))

    n, m = len(problem.anchors), len(problem.candidates)
    if problem.is_small():
        return compute(slice(0, n))
    entries = ENTRIES // 4 if problem.relation.differentiable else ENTRIES
    side = problem.side or max(1, entries // max(m, 1))
    parts = [
        cast(tuple[Tensor, ...], checkpoint(compute, rows, use_reentrant=False, preserve_rng_state=False))
        if torch.is_grad_enabled()
        else compute(rows)
        for rows in spans(n, side)
    ]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True)) if parts else compute(slice(0, 0))
