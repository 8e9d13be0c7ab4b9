"""A log of interactions as a file holds it, and the sentences that say where in it something is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from contrast_core.errors import did_you_mean

Numbers = NDArray[np.float64]


@final
@frozen
class Fields:
    """Which columns of a table mean what.

    Args:
        user, item: whose names are texts of any kind.
        time: to order by, numbers; None takes the order of the file.
        rating: numbers; None reads none.
    """

    user: str = "user_id"
    item: str = "item_id"
    time: str | None = "timestamp"
    rating: str | None = None

    def named(self) -> list[str]:
        """The columns that are read, in the order user, item, time, rating."""
        return [name for name in (self.user, self.item, self.time, self.rating) if name is not None]


@final
@frozen(eq=False)
class Log:
    """n interactions in the order of the file.

    Args:
        file: its name, for messages.
        users, items: n names each.
        times, ratings: (n,) float64, finite, or None.
    """

    file: str
    users: Sequence[str]
    items: Sequence[str]
    times: Numbers | None = None
    ratings: Numbers | None = None


def made_log(
    file: str, fields: Fields, cells: Sequence[Sequence[str]], lines: Sequence[int], unit: str = "line"
) -> Log:
    """A log of one list of texts a column, in the order of `fields.named()`; `unit` is what `lines` count.

    Raises:
        ValueError: without rows, for an empty user or item, or a time or rating that is no finite number.
    """
    if not lines:
        raise ValueError(f"{file} holds no interactions.")
    for name, column in zip((fields.user, fields.item), cells[:2], strict=True):
        if "" in column:
            raise ValueError(f"{file}, {unit} {lines[column.index('')]}: '{name}' is empty.")
    numeric = [
        _numbers(f"{file}, {unit}", name, column, lines)
        for name, column in zip(fields.named()[2:], cells[2:], strict=True)
    ]
    times = numeric.pop(0) if fields.time is not None else None
    return Log(file, cells[0], cells[1], times, numeric.pop(0) if numeric else None)


def places_of(file: str, header: Sequence[str], fields: Fields) -> list[int]:
    """Where in a header the columns of `fields.named()` are.

    Raises:
        ValueError: if one is missing or a name is there twice.
    """
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{file}, line 1 has the column '{twice}' twice.")
    for name in fields.named():
        if name in header:
            continue
        hint = did_you_mean(name, header) or f" Its columns are {', '.join(header[:8])}."
        if name == fields.time:
            hint += ' Name the column of the times with data.time, or set data.order = "file" if its rows are in order.'
        raise ValueError(f"{file} has no column '{name}'.{hint}")
    return [header.index(name) for name in fields.named()]


def _numbers(where: str, name: str, column: Sequence[str], lines: Sequence[int]) -> Numbers:
    try:
        found = np.array(column).astype(np.float64)
    except ValueError:
        found = np.array([_number(cell) for cell in column])
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        place = int(bad[0])
        raise ValueError(
            f"{where} {lines[place]}: '{name}' is {column[place]!r}, which is no finite number; "
            "give times in seconds or any other number that grows."
        )
    return found


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
