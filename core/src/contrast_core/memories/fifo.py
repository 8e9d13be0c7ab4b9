"""A queue of the latest rows, first in, first out."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Memory


@final
class Queue(Memory):
    """The last `size` rows that were written, in a ring buffer (the queue of MoCo, arXiv 1911.05722).

    Order: rows are written in their order, each to the place of the oldest, place (pointer + r) mod size, and
        the
    pointer moves on by their number, mod size: as if they came one by one. So a batch may wrap round the end,
    and of a batch longer than the queue the last `size` rows stay. lightly instead cuts a batch off at the
    end of the bank and starts again at 0; the two agree where the batch divides the size. MoCo asks for that,
    this queue does not.

    `read` gives rows in the order of their places, not of their age. The columns are `sample` (-1 where the
    written table had none, or for a random initial row) and `source`, "queue".

    Args:
        source: name of the table whose rows are written.
        size: how many rows are kept.
        dimension: d of the field z, (n, d).
        when: "after-update", so that a step meets only keys of earlier ones as in MoCo, or "before-pairs".
        only_filled: give only rows that were written; otherwise the queue starts full of random unit rows, as
            MoCo's.
        normalise: scale rows to unit length when they are written.
        seed: of the random initial rows.

    Raises:
        ValueError: if size or dimension is not positive, or rows of another dimension are written.
    """

    rows: Tensor
    sample: Tensor
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
    ):
        super().__init__(source, when)
        if size < 1 or dimension < 1:
            raise ValueError(f"A queue needs a positive size and dimension, not {size} and {dimension}.")
        self.size, self.dimension, self.only_filled, self.normalise = size, dimension, only_filled, normalise
        rows = torch.zeros(size, dimension)
        if not only_filled:
            generator = torch.Generator().manual_seed(seed)
            rows = functional.normalize(torch.randn(rows.shape, generator=generator), dim=1)
        self.register_buffer("rows", rows)
        self.register_buffer("sample", torch.full((size,), -1))
        self.register_buffer("pointer", torch.tensor(0))
        self.register_buffer("filled", torch.tensor(0))

    @torch.no_grad()
    def write(self, rows: Embeddings) -> None:
        """Take the rows, in their order, in place of the oldest."""
        z = rows.z
        if z.dim() != 2 or z.shape[1] != self.dimension:
            raise ValueError(
                f"The queue of '{self.source}' keeps rows of dimension {self.dimension}, not a table of "
                f"shape {tuple(z.shape)}; set its dimension to that of the table."
            )
        count, kept = len(z), min(len(z), self.size)
        last = slice(count - kept, count)
        places = (self.pointer + torch.arange(count, device=self.rows.device)[last]) % self.size
        z = z[last].to(self.rows)
        self.rows[places] = functional.normalize(z, dim=1) if self.normalise else z
        sample = rows["sample"][last] if "sample" in rows else torch.full((kept,), -1)
        self.sample[places] = sample.to(self.sample)
        self.pointer.copy_((self.pointer + count) % self.size)
        self.filled.copy_((self.filled + count).clamp(max=self.size))

    def read(self) -> Embeddings:
        """A copy of the rows, so that writing later can't spoil a gradient."""
        end = int(self.filled) if self.only_filled else self.size
        return Embeddings.of(self.rows[:end].clone(), sample=self.sample[:end].clone(), source="queue")
