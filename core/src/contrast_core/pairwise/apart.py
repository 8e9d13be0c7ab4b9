"""Candidates that were put together of several tables, taken one by one where that saves work.

A queue beside the batch's own rows has no gradient, and is usually much the larger: with a table for each, nobody
copies it, normalises it under autograd or computes the gradient that is thrown away. Sums over all candidates are sums
of the tables' sums, and log-sums log-sums of them.
"""

from __future__ import annotations

from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.pairwise.problem import SMALL, Temperature
from contrast_core.relations import Relation
from contrast_core.similarity import Similarity


def apart(
    pairs: Pairs, relation: Relation, similarity: Similarity, temperature: Temperature
) -> tuple[Pairs, ...] | None:
    """The pairs with each of the candidates' tables; None if they are one table, or one is as good.

    Whatever looks at a candidate's place in the whole table keeps it whole: a relation that is no function of columns,
    a temperature for each candidate.
    """
    parts = pairs.candidates.parts
    if len(parts) < 2 or not similarity.bilinear or not _alike_for_all(temperature):
        return None
    if not (relation.of_columns and pairs.positives.of_columns) or relation.differentiable:
        return None
    n = len(pairs.anchors)
    if not any(n * len(part) > SMALL and not _learns(part) for part in parts):
        return None
    return tuple(Pairs(pairs.anchors, part, pairs.positives, pairs.negatives) for part in parts)


def _alike_for_all(temperature: Temperature) -> bool:
    """Whether all candidates have one temperature."""
    if isinstance(temperature, str):
        return False
    return not isinstance(temperature, Tensor) or temperature.dim() < 2 or temperature.shape[1] == 1


def _learns(table: Embeddings) -> bool:
    return any(rows.requires_grad for rows in table.fields.values())
