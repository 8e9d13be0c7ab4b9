"""Code as leaves, and rows of different lengths, before and after they are cut into tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self, final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from contrast_code.languages import ALL_KINDS, Leaf

Ids = NDArray[np.int64]
PADDING = -1
"""Stands in a row behind its last token, and as the type of tokens that belong to the row and not to the text."""


@final
@frozen(eq=False)
class Snippet:
    """Code as the text of its leaves, joined by one space.

    Args:
        text: the leaves with one space between two.
        ends: (leaves,) int32, where each leaf ends in the text.
        kinds: (leaves,) uint8, its type, as its place in `ALL_KINDS`.
    """

    text: str
    ends: NDArray[np.int32]
    kinds: NDArray[np.uint8]

    @classmethod
    def of(cls, leaves: Iterable[Leaf]) -> Self:
        """The snippet of some leaves; those without text are left out."""
        kept = [leaf for leaf in leaves if leaf.text]
        lengths = np.array([len(leaf.text) + 1 for leaf in kept], np.int32)
        kinds = np.array([_PLACES[leaf.kind] for leaf in kept], np.uint8)
        return cls(" ".join(leaf.text for leaf in kept), np.cumsum(lengths, dtype=np.int32) - 1, kinds)

    def words(self, count: int) -> list[str]:
        """The texts of the first leaves."""
        ends = self.ends[:count].tolist()
        return [self.text[start:end] for start, end in zip([0, *(end + 1 for end in ends)], ends, strict=False)]

    def without(self, name: str) -> Snippet:
        """The same without the leaves whose text is this name."""
        texts = self.words(len(self.ends))
        kept = np.array([text != name for text in texts], bool)
        lengths = np.array([len(text) + 1 for text in texts if text != name], np.int32)
        shorter = " ".join(text for text in texts if text != name)
        return Snippet(shorter, np.cumsum(lengths, dtype=np.int32) - 1, self.kinds[kept])


_PLACES = {kind: place for place, kind in enumerate(ALL_KINDS)}


@final
@frozen(eq=False)
class Ragged:
    """Rows of different lengths in one array.

    Args:
        values: all rows, one after the other, int32.
        bounds: (n + 1,) int64, where each begins, and the end.
    """

    values: NDArray[np.int32]
    bounds: Ids

    @classmethod
    def of(cls, rows: Sequence[Sequence[int] | NDArray[np.int32]]) -> Self:
        """From a list of rows."""
        bounds = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        return cls(np.concatenate([np.asarray(row, np.int32) for row in rows] or [np.empty(0, np.int32)]), bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def padded(self, items: Ids | None = None, fill: int = PADDING) -> Ids:
        """Some rows (by default all), (n, length of the longest of them)."""
        chosen = np.arange(len(self)) if items is None else items
        start, lengths = self.bounds[chosen], self.bounds[chosen + 1] - self.bounds[chosen]
        places = np.arange(max(1, int(lengths.max(initial=0))))
        inside = places < lengths[:, None]
        found = np.full(inside.shape, fill, np.int64)
        found[inside] = self.values[(start[:, None] + places)[inside]]
        return found

    def counted(self, items: Ids, size: int) -> Any:
        """How often each of `size` values is in some rows, (n, size), sparse."""
        from scipy.sparse import coo_array

        lengths = self.bounds[items + 1] - self.bounds[items]
        row = np.repeat(np.arange(len(items)), lengths)
        within = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        column = self.values[np.repeat(self.bounds[items], lengths) + within]
        return coo_array((np.ones(len(row)), (row, column)), shape=(len(items), size)).tocsr()


@final
@frozen(eq=False)
class Rows:
    """Token ids and types, aligned; `padded` makes them matrices.

    Args:
        ids: of the tokens.
        kinds: the id that stands for a token's type; of a query, which has none, the mask's; -1 for
            tokens that belong to the row and not to the text.
    """

    ids: Ragged
    kinds: Ragged
