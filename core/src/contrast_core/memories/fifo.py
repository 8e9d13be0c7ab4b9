"""A queue of the latest rows, first in, first out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.memories.places import Places


@final
class Queue(Places):
    """The last `size` rows that were written, in a ring buffer (the queue of MoCo, arXiv 1911.05722).

    Order: rows are written in their order, each to the place of the oldest, place (pointer + r) mod size, and the
    pointer moves on by their number, mod size: as if they came one by one. So a batch may wrap round the end, and of a
    batch longer than the queue the last `size` rows stay. lightly instead cuts a batch off at the end of the bank and
    starts again at 0; the two agree where the batch divides the size. MoCo asks for that, this queue does not.

    `read` gives rows in the order of their places, not of their age. The columns are `sample` (-1 where the
    written table had none, or for a random initial row), `source`, "queue", and those that are remembered.

    Args:
        source: name of the table whose rows are written.
        size: how many rows are kept.
        dimension: d of the field z, (n, d).
        when: "after-update", so that a step meets only keys of earlier ones as in MoCo, or "before-pairs".
        only_filled: give only rows that were written; otherwise the queue starts full of random unit rows, as
            MoCo's.
        normalise: scale rows to unit length when they are written.
        seed: of the random initial rows.
        columns: what else is remembered of a row, for example its label.

    Raises:
        ValueError: if size or dimension is not positive; in use, if rows have another dimension or lack a column.
    """

    pointer: Tensor
    filled: Tensor

    def __init__(
        self,
        source: str,
        size: int,
        dimension: int,
        when: Literal["before-pairs", "after-update"] = "after-update",
        only_filled: bool = True,
        normalise: bool = True,
        seed: int = 0,
        columns: Sequence[str] = (),
    ):
        super().__init__(source, when, size, dimension, columns, not only_filled, normalise, seed)
        self.size, self.only_filled = size, only_filled
        self.register_buffer("pointer", torch.tensor(0))
        self.register_buffer("filled", torch.tensor(0))

    @torch.no_grad()
    def write(self, rows: Embeddings) -> None:
        """Take the rows, in their order, in place of the oldest."""
        self._check(rows)
        last = torch.arange(len(rows), device=rows.device)[-self.size :]
        kept = rows.select(last)
        self._put((self.pointer + last.to(self.pointer)) % self.size, self._rows(kept), kept)
        self.pointer.copy_((self.pointer + len(rows)) % self.size)
        self.filled.copy_((self.filled + len(rows)).clamp(max=self.size))

    def read(self) -> Embeddings:
        """A copy of the rows, so that writing later can't spoil a gradient."""
        end = int(self.filled) if self.only_filled else self.size
        return self._given(torch.arange(end, device=self.rows.device)).with_columns(source="queue")
