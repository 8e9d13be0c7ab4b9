"""Which rows a diagnostic compares: pairs made of arrays, and a walk over their similarities, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from contrast_core.diagnostics.rows import Array, checked, checked_labels
from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.relations import Block, Relation, same
from contrast_core.similarity import Similarity

ENTRIES = 2**18
"""Pairs looked at at once, unless a single anchor has more candidates."""


def paired(a: Array, b: Array) -> Pairs:
    """Row i of `a`, (n, d), has row i of `b`, (n, d), as its positive and the other rows of `b` as its negatives.

    Raises:
        ValueError: if the shapes differ or a row is not finite.
    """
    if a.shape != b.shape:
        raise ValueError(f"Positive pairs need rows of one shape, not {tuple(a.shape)} and {tuple(b.shape)}.")
    anchors, candidates = checked(a, 1), checked(b, 1)
    sample = torch.arange(len(anchors), device=anchors.device)
    return Pairs(
        Embeddings.of(anchors, sample=sample), Embeddings.of(candidates, sample=sample), same("sample"), ~same("sample")
    )


def by_label(z: Array, labels: Array) -> Pairs:
    """Rows (n, d) among each other: positives share the label, (n,), negatives have another one.

    A row does not meet itself, and rows with a negative label are unknown and left out.

    Raises:
        ValueError: if the shapes don't fit or a row is not finite.
    """
    rows = checked(z, 1)
    known = checked_labels(labels, len(rows)).to(rows.device)
    table = Embeddings.of(rows, label=known, sample=torch.arange(len(rows), device=rows.device)).select(known >= 0)
    return Pairs(table, table, same("label") & ~same("sample"), ~same("label"))


class Seen(NamedTuple):
    """Some anchors with all candidates.

    Args:
        rows: which anchors, r of them.
        similarities: s_ij, float64, (r, m).
        weights: w_ij of each relation that was asked for, float64, (r, m) each.
    """

    rows: slice
    similarities: Tensor
    weights: list[Tensor]


def blocks(pairs: Pairs, similarity: Similarity, *relations: Relation, rows: slice = slice(None)) -> Iterator[Seen]:
    """All similarities of the anchors (or of those in `rows`), a block of them after the other.

    Raises:
        ValueError: if a relation or the similarity does not fit the tables, or a similarity is NaN or infinite.
    """
    anchors, candidates = pairs.anchors, pairs.candidates
    similarity.check(anchors, candidates)
    for relation in relations:
        relation.check(anchors, candidates)
    prepared = [relation.prepared(anchors, candidates) for relation in relations]
    a, c = similarity.prepare(anchors), similarity.prepare_candidates(candidates)
    numbers = max([similarity.numbers_per_pair(a, c), *(relation.numbers_per_pair for relation in relations)])
    first, last, _ = rows.indices(len(anchors))
    side = max(1, ENTRIES // max(1, len(candidates) * numbers))
    for start in range(first, last, side):
        some = slice(start, min(start + side, last))
        values = similarity.between(tuple(x[some] for x in a), c).double()
        if not values.isfinite().all():
            raise ValueError(f"The similarity {similarity} is NaN or infinite for some pairs: there is nothing to see.")
        tile = Block.tile(anchors, candidates, some, slice(0, len(candidates)))
        yield Seen(some, values, [relation.weigh(tile).double().expand(values.shape) for relation in prepared])
