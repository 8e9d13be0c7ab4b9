"""The last 40 rows of the scene's teacher."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, distributed

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Memory


class _Last(Memory):
    """The last 40 rows that were written, the newest at the end."""

    rows: Tensor
    filled: Tensor

    def __init__(self) -> None:
        super().__init__("two-teacher", "after-update")
        self.register_buffer("rows", torch.zeros(40, 8))
        self.register_buffer("filled", torch.tensor(0))

    def write(self, rows: Embeddings) -> None:
        """Push them in."""
        self.rows.copy_(torch.cat([self.rows, rows.z.detach().to(self.rows)])[-40:])
        self.filled.copy_((self.filled + len(rows)).clamp(max=40))

    def read(self) -> Embeddings:
        """What was written."""
        return Embeddings.of(self.rows[40 - int(self.filled) :].clone(), source="memory")


@final
class Honest(_Last):
    """Keeps every promise."""


@final
class ReadsATable(_Last):
    """Forgets to say what its rows are."""

    def read(self) -> Embeddings:
        """Rows without a source."""
        return Embeddings.of(self.rows.clone())


@final
class KeepsRowsOfItsOwn(_Last):
    """Gives the buffer itself, which the next writing changes."""

    def read(self) -> Embeddings:
        """A view of the buffer."""
        return Embeddings.of(self.rows[40 - int(self.filled) :], source="memory")


@final
class EveryBitIsInBuffers(_Last):
    """Counts what is filled in a plain number."""

    count = 0

    def write(self, rows: Embeddings) -> None:
        """Push them in."""
        super().write(rows)
        self.count = min(40, self.count + len(rows))

    def read(self) -> Embeddings:
        """What was written since it was made."""
        return Embeddings.of(self.rows[40 - self.count :].clone(), source="memory")


@final
class ReadingChangesNothing(_Last):
    """Counts its readers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("readers", torch.tensor(0))

    def read(self) -> Embeddings:
        """What was written, and a count."""
        self.readers += 1
        return super().read()


@final
class ProcessesAgree(_Last):
    """Keeps this process's share of rows that all processes have."""

    def write(self, rows: Embeddings) -> None:
        """Every so many."""
        if distributed.is_initialized() and rows.group is not None:
            rows = rows.select(torch.arange(distributed.get_rank(), len(rows), distributed.get_world_size()))
        super().write(rows)


@final
class ContinuesBitForBit(_Last):
    """Has a fading factor in a buffer that is not saved."""

    fade: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fade", torch.tensor(1.0), persistent=False)

    def write(self, rows: Embeddings) -> None:
        """Fainter every time."""
        self.fade *= 0.5
        super().write(rows.with_fields(z=rows.z * self.fade))
