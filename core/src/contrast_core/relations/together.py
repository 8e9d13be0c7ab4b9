"""Several relations evaluated together."""

from __future__ import annotations

from torch import Tensor

from contrast_core.relations.algebra import Relation, related
from contrast_core.relations.block import Block


def weights_of(block: Block, *relations: Relation) -> list[Tensor]:
    """What each relation says of the pairs of a block; what they are made of in common is looked at once."""
    known: dict[object, Tensor] = {}

    def value(atom: Relation) -> Tensor:
        key = atom.identity()
        if key not in known:
            known[key] = related(atom.weigh(block))
        return known[key]

    return [relation.truth(value) if relation.binary else relation.weigh(block) for relation in relations]
