"""From a log to one sequence of items a user: filtered, ordered by time, numbered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from contrast_recommendation.data.log import Log

Integers = NDArray[np.int64]


@final
@frozen(eq=False)
class Sequences:
    """One sequence a user, end to end.

    Args:
        items: (n,) int64, item ids from 1; the sequence of user u is items[starts[u] : starts[u + 1]].
        starts: (U + 1,) int64.
        users: U names.
        names: names of the items; that of id i is names[i - 1].
        notes: what was left out, in words.
    """

    items: Integers
    starts: Integers
    users: Sequence[str]
    names: Sequence[str]
    notes: str = ""

    def renumbered(self, known: Integers, codes: Integers) -> Sequences:
        """The same sequences with the ids of others.

        Args:
            known: (m,) int64, one code an item that has an id, in the order of the ids from 1.
            codes: (len(names),) int64, the codes of these items.

        Raises:
            ValueError: for an item that has no id.
        """
        order = np.argsort(known, kind="stable")
        place = np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)
        ids = order[place]
        strange = np.flatnonzero(known[ids] != codes)
        if len(strange):
            raise ValueError(
                f"The item '{self.names[strange[0]]}' is none of the {len(known)} that the model was trained with"
                + (f", and {len(strange) - 1} more are not; " if len(strange) > 1 else "; ")
                + "leave interactions with unknown items out."
            )
        names = [""] * len(known)
        for own, number in enumerate(ids.tolist()):
            names[number] = self.names[own]
        return evolve(self, items=(ids + 1)[self.items - 1], names=names)


def sequences(
    log: Log, *, user_minimum: int = 1, item_minimum: int = 1, minimum_rating: float | None = None
) -> Sequences:
    """Filter, group by user, order by time (by the file's order where times are equal or none are given).

    Users and items with too few interactions are left out again and again, until none is left that has too few (the
    "k-core"). Users and items are numbered in the order in which the log first has them after that.

    Raises:
        ValueError: if nothing is left.
    """
    user, users = _numbered(log.users)
    item, names = _numbered(log.items)
    kept = np.ones(len(user), dtype=bool)
    if minimum_rating is not None:
        assert log.ratings is not None
        kept = log.ratings >= minimum_rating
    rated = int(kept.sum())
    while True:
        few = np.bincount(user[kept], minlength=len(users)) < user_minimum
        rare = np.bincount(item[kept], minlength=len(names)) < item_minimum
        still = kept & ~few[user] & ~rare[item]
        if still.sum() == kept.sum():
            break
        kept = still
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise ValueError(
            f"Of the {len(user)} interactions of {log.file} none is left with at least {user_minimum} a user and "
            f"{item_minimum} an item"
            + (f", rated {minimum_rating:g} or better." if minimum_rating is not None else ".")
        )
    user, users = _renumbered(user[rows], users)
    item, names = _renumbered(item[rows], names)
    order = np.argsort(user, kind="stable") if log.times is None else np.lexsort((log.times[rows], user))
    starts = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(users)))])
    notes = []
    if minimum_rating is not None:
        notes.append(f"{len(log.users) - rated} interactions rated below {minimum_rating:g} were left out.")
    if rated > len(rows):
        notes.append(
            f"{rated - len(rows)} interactions of users with fewer than {user_minimum} or items with fewer than "
            f"{item_minimum} were left out."
        )
    return Sequences(item[order] + 1, starts, users, names, " ".join(notes))


def _numbered(names: Iterable[str]) -> tuple[Integers, list[str]]:
    """Numbers from 0 in the order of first appearance, and the distinct names."""
    seen: dict[str, int] = {}
    numbers = np.fromiter((seen.setdefault(name, len(seen)) for name in names), dtype=np.int64)
    return numbers, list(seen)


def _renumbered(numbers: Integers, names: Sequence[Any]) -> tuple[Integers, list[Any]]:
    """Numbers without gaps, still in the order of first appearance."""
    found, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place[inverse], [names[number] for number in found[order].tolist()]
