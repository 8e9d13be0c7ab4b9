"""Pairs one by one: for objectives that have a term for every positive pair, not for every anchor."""

from __future__ import annotations

import sys
from typing import final

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.pairs import Pairs
from contrast_core.relations import Block, Relation
from contrast_core.similarity import Similarity

ENTRIES = 2**20
"""Weights looked at together where a relation can't list its pairs."""


def listed_pairs(pairs: Pairs, relation: Relation) -> tuple[Tensor, Tensor]:
    """Indices (i, j), (p,) each, of all pairs with weight > 0, ordered by anchor."""
    anchors, candidates = pairs.anchors, pairs.candidates
    found = relation.listed(anchors, candidates, limit=sys.maxsize)
    with torch.no_grad():
        if found is not None:
            i, j = found
            related = (relation.weigh(Block(anchors, candidates, i, j)) > 0).expand(i.shape)
            order = i[related].argsort(stable=True)
            return i[related][order], j[related][order]
        blocks = [torch.zeros((0, 2), dtype=torch.long, device=anchors.device)]
        n, m = len(anchors), len(candidates)
        step = max(1, ENTRIES // max(m, 1))
        for start in range(0, n, step):
            block = Block.tile(anchors, candidates, slice(start, min(start + step, n)), slice(0, m))
            place = (relation.weigh(block) > 0).expand(block.shape).nonzero()
            place[:, 0] += start
            blocks.append(place)
        i, j = torch.cat(blocks).unbind(1)
        return i, j


def similarities(pairs: Pairs, similarity: Similarity, i: Tensor, j: Tensor) -> Tensor:
    """s of the listed pairs, (p,)."""
    with torch.autocast(pairs.anchors.device.type, enabled=False):
        a, c = similarity.prepare(pairs.anchors), similarity.prepare_candidates(pairs.candidates)
        sides = (tuple(at_least_float32(x[at]) for x in rows) for rows, at in ((a, i), (c, j)))
        return similarity.listed(*sides)


@final
@frozen(eq=False, repr=False)
class OfRow(Relation):
    """The given relation for rows picked, perhaps repeatedly, from a table: row e is anchor `index[e]`.

    With it a row statistic can be asked for once for every positive pair, in the engine's blocks.
    """

    relation: Relation
    anchors: Embeddings
    index: Tensor

    @property
    def binary(self) -> bool:  # type: ignore[override]
        """As the relation."""
        return self.relation.binary

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """As the relation."""
        return self.relation.differentiable

    def prepared(self, anchors: Embeddings, candidates: Embeddings) -> Relation:
        """The relation prepared for the table that the rows were picked from."""
        return OfRow(self.relation.prepared(self.anchors, candidates), self.anchors, self.index)

    def weigh(self, block: Block) -> Tensor:
        """The relation's weights at the rows that were picked."""
        return self.relation.weigh(Block(self.anchors, block.candidates, self.index[block.i], block.j))


def expanded(pairs: Pairs, i: Tensor) -> Pairs:
    """The pairs with anchor i_e as row e: one row for each entry of `i`."""
    positives, negatives = (OfRow(r, pairs.anchors, i) for r in (pairs.positives, pairs.negatives))
    return Pairs(pairs.anchors.select(i), pairs.candidates, positives, negatives)
