"""The pattern of a 0/1 relation: what all pairs have in common but for a short list of exceptions.

Nearly every relation between rows is a rule and a few exceptions: "everyone but the row itself" (NT-Xent), "the queue,
and the anchor's own key" (MoCo), "all of another label" (SupCon). A rule costs nothing in a tile, or skips the tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.relations import Block, Everything, Relation, Same, Where

Listing = tuple[Tensor, Tensor] | None
"""What `Relation.listed` gives."""
LONG_ATOMS = 3
"""Beyond so many relations that are no short lists, no pattern is looked for."""


@frozen(eq=False)
class Groups:
    """Rows that go together: anchors and candidates of one number; below 0 a row belongs to none.

    Args:
        anchors: (n,) small integers.
        candidates: (m,) small integers.
    """

    anchors: Tensor
    candidates: Tensor


@frozen(eq=False)
class Pattern:
    """R_ij = weight_e for an exception e = (i, j); else inside_j if i and j are of one group, and outside_j if not.

    Args:
        i: the exceptions' anchors, (p,).
        j: their candidates, (p,); no pair comes twice.
        weight: their weights, (p,).
        outside: whether a candidate is related by rule, (m,) or (1,), boolean.
        inside: the same for anchors of its own group; None without groups.
        groups: the groups, or None.
    """

    i: Tensor
    j: Tensor
    weight: Tensor
    outside: Tensor
    inside: Tensor | None = None
    groups: Groups | None = None

    @property
    def empty(self) -> bool:
        """Whether the rule relates nobody, so that the list is all there is."""
        return self.inside is None and not bool(self.outside.any())

    def rule(self, i: Tensor, j: Tensor) -> Tensor:
        """What the rule says of listed pairs, (p,), boolean."""
        outside = _at(self.outside, j)
        if self.inside is None or self.groups is None:
            return outside
        return torch.where(self.groups.anchors[i] == self.groups.candidates[j], _at(self.inside, j), outside)

    def beyond(self, kind: torch.dtype) -> Tensor:
        """What each exception has beyond its rule, (p,): the rule's own sums know nothing of it."""
        return self.weight.to(kind) - self.rule(self.i, self.j).to(kind)


def _at(values: Tensor, j: Tensor) -> Tensor:
    """Entries of a vector that may have one for all."""
    return values.expand(len(j)) if len(values) == 1 else values[j]


def limit_for(anchors: Embeddings, candidates: Embeddings) -> int:
    """How many pairs are a short list: some for each row."""
    return 4 * (len(anchors) + len(candidates))


@torch.no_grad()
def pattern_of(
    relation: Relation, anchors: Embeddings, candidates: Embeddings, lists_known: dict[object, Listing] | None = None
) -> Pattern | None:
    """The pattern of a relation between two tables, or None if it has none (or weights that are learned).

    `lists_known` remembers what relations of these tables list, for the next one.
    """
    lists_known = {} if lists_known is None else lists_known
    if relation.differentiable:
        return None
    nobody = torch.zeros(1, dtype=torch.bool, device=anchors.device)
    if not relation.binary:
        found = relation.listed(anchors, candidates, limit_for(anchors, candidates))
        return None if found is None else Pattern(*found, _weights(relation, anchors, candidates, *found), nobody)
    values: dict[object, Tensor] = {}
    lists: list[tuple[Tensor, Tensor]] = []
    long: list[Relation] = []
    for atom in relation.atoms():
        key = atom.identity()
        if key in values or any(key == other.identity() for other in long):
            continue
        if isinstance(atom, Everything):
            values[key] = ~nobody
        elif isinstance(atom, Where) and atom.side == "candidates":
            values[key] = _condensed(candidates[atom.column] == atom.value)
        elif isinstance(atom, Where) and len(alike := _condensed(anchors[atom.column] == atom.value)) == 1:
            values[key] = alike
        else:
            if key not in lists_known:
                lists_known[key] = atom.listed(anchors, candidates, limit_for(anchors, candidates))
            if (found := lists_known[key]) is None:
                long.append(atom)
            else:
                values[key] = nobody
                lists.append(found)
    decided = _decide(relation, values, long, nobody)
    if decided is None:
        return None
    outside, inside, group = decided
    groups = Groups(*group.groups(anchors, candidates)) if group is not None else None
    if groups is not None and inside is not None:
        # Candidates that share a group with nobody can't be told from outside.
        met = torch.isin(groups.candidates, groups.anchors)
        if not bool(((inside != outside) & met).any()):
            inside, groups = None, None
    i, j = _united(lists, len(candidates), anchors.device)
    weights = _weights(relation, anchors, candidates, i, j)
    rule = Pattern(i, j, weights, outside, inside, groups)
    odd = weights != rule.rule(i, j)
    return Pattern(i[odd], j[odd], weights[odd], outside, inside, groups)


def _condensed(values: Tensor) -> Tensor:
    """One entry for all candidates if they have the same."""
    alike = len(values) > 0 and bool((values == values[0]).all())
    return values[:1] if alike else values


def _decide(
    relation: Relation, values: dict[object, Tensor], long: Sequence[Relation], nobody: Tensor
) -> tuple[Tensor, Tensor | None, Same | None] | None:
    """(outside, inside, the relation that groups), by trying all truth values of the long atoms."""
    if len(long) > LONG_ATOMS:
        return None
    table = {}
    for bits in product((False, True), repeat=len(long)):
        known = {**values, **{atom.identity(): nobody | bit for atom, bit in zip(long, bits, strict=True)}}
        table[bits] = relation.truth(lambda atom, known=known: known[atom.identity()])  # type: ignore[misc]
    first = table[(False,) * len(long)]
    depends = [k for k in range(len(long)) if any(_differ(table[bits], table[_flipped(bits, k)]) for bits in table)]
    if not depends:
        return first, None, None
    group = long[depends[0]]
    if len(depends) > 1 or not isinstance(group, Same):
        return None
    return first, table[_flipped((False,) * len(long), depends[0])], group


def _flipped(bits: tuple[bool, ...], k: int) -> tuple[bool, ...]:
    return (*bits[:k], not bits[k], *bits[k + 1 :])


def _differ(one: Tensor, two: Tensor) -> bool:
    return bool((one != two).any())


def _united(lists: Sequence[tuple[Tensor, Tensor]], m: int, device: torch.device) -> tuple[Tensor, Tensor]:
    if not lists:
        nothing = torch.zeros(0, dtype=torch.long, device=device)
        return nothing, nothing
    if len(lists) == 1:
        return lists[0]
    key = torch.unique(torch.cat([i * m + j for i, j in lists]))
    return key // m, key % m


def _weights(relation: Relation, anchors: Embeddings, candidates: Embeddings, i: Tensor, j: Tensor) -> Tensor:
    return relation.weigh(Block(anchors, candidates, i, j)).expand(i.shape)
