"""Pairs: who is compared with whom. A join between two tables, never a matrix."""

from __future__ import annotations

from attrs import frozen

from contrast_core.embeddings import Embeddings
from contrast_core.relations import Relation


@frozen(eq=False)
class Pairs:
    """Two tables and the relations between their rows.

    Args:
        anchors: the n rows that a loss is computed for.
        candidates: the m rows they are compared with (other views, a queue, prototypes, another modality ...).
        positives: which candidates belong to an anchor, and with what weight.
        negatives: which candidates it is set against, and with what weight.

    Raises:
        ValueError: if a relation needs a column that the anchors or candidates lack; the message names both.
    """

    anchors: Embeddings
    candidates: Embeddings
    positives: Relation
    negatives: Relation

    def __attrs_post_init__(self) -> None:
        for relation in (self.positives, self.negatives):
            relation.check(self.anchors, self.candidates)

    def swapped(self) -> Pairs:
        """The same pairs seen from the candidates: candidate j becomes an anchor, relations are transposed."""
        return Pairs(self.candidates, self.anchors, self.positives.transposed(), self.negatives.transposed())
