"""A linear encoder of the scene's views."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Encoder, Flow

VIEWS = ("one", "two", "three")


class _Linear(Encoder):
    """z = W x + b of every view; the scene's queue asks for a table of a teacher, which is a copy."""

    embedding = "one"

    def __init__(self) -> None:
        super().__init__()
        self.needs = (*VIEWS, "sample")
        self.gives = tuple(n for v in (*VIEWS, "two-teacher") for n in (v, f"{v}.z", f"{v}.sample"))
        self.layer = nn.Linear(64, 8)

    def rows(self, x: Tensor) -> Tensor:
        """The rows of one view."""
        return self.layer(x.flatten(1))  # type: ignore[no-any-return]

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """A table a view."""
        found = {view: Embeddings.of(self.rows(flow[view]), sample=flow["sample"]) for view in VIEWS}
        return {**found, "two-teacher": found["two"].detach()}


@final
class Honest(_Linear):
    """Keeps every promise."""


@final
class GivesWhatItSays(_Linear):
    """Declares a table that it does not give."""

    def __init__(self) -> None:
        super().__init__()
        self.gives = (*self.gives, "four")


@final
class ReadsWhatItNeeds(_Linear):
    """Looks at labels without saying so."""

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """Tables with labels."""
        return {name: table.with_columns(label=flow["label"]) for name, table in super().forward(flow).items()}


@final
class LeavesItsInputAlone(_Linear):
    """Clips its input in place."""

    def rows(self, x: Tensor) -> Tensor:
        """Rows of what is left."""
        return super().rows(x.clamp_(max=0.5))


@final
class NothingRandomInEvaluation(_Linear):
    """Drops out whatever the mode."""

    def rows(self, x: Tensor) -> Tensor:
        """Rows with holes."""
        return functional.dropout(super().rows(x), 0.5)


@final
class SameSeedSameRows(_Linear):
    """Has a source of randomness that nobody seeds."""

    def rows(self, x: Tensor) -> Tensor:
        """Rows times a random number."""
        return super().rows(x) * (random.SystemRandom().random() if self.training else 1.0)


@final
class RowsAreIndependent(_Linear):
    """Centres the rows of a batch, in evaluation too."""

    def rows(self, x: Tensor) -> Tensor:
        """Centred rows."""
        rows = super().rows(x)
        return rows - rows.mean(0)


@final
class GradientReachesEveryParameter(_Linear):
    """Has a layer that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 8)


@final
class HalfPrecision(_Linear):
    """Writes rows into a table of the input's type."""

    def rows(self, x: Tensor) -> Tensor:
        """Rows, put into a table."""
        table = torch.zeros(len(x), 8, dtype=x.dtype)
        table[torch.arange(len(x))] = super().rows(x)
        return table


@final
class ContinuesBitForBit(_Linear):
    """Warms up by a counter in a plain attribute."""

    steps = 0

    def rows(self, x: Tensor) -> Tensor:
        """Rows that grow."""
        return super().rows(x) * (1 - 0.5**self.steps / 2 if self.training else 1.0)

    def after_update(self) -> None:
        """Count."""
        self.steps += 1
