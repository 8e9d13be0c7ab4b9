"""Points around two centres."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from contrast_core.interfaces import Data, Flow, Split


class Points(Data):
    """96 points in six dimensions around two centres, drawn with seed 0: nobody's data."""

    gives = ("image", "sample", "label", "embedding.label")

    def load(self) -> None:
        """Draw them."""
        self._labels = torch.arange(96) % 2
        self._points = torch.randn(96, 6, generator=torch.Generator().manual_seed(0)) + self._labels[:, None]

    def __len__(self) -> int:
        return 96

    def batch(self, items: Tensor) -> Flow:
        """The points."""
        return {"image": self._points[items], "sample": items, "label": self._labels[items]}

    @property
    def labels(self) -> Tensor:
        """The centre each belongs to."""
        return self._labels

    @property
    def splits(self) -> Mapping[str, Split]:
        """Thirds."""
        return {"all": Split(torch.arange(32), torch.arange(32, 64), torch.arange(64, 96))}

    @property
    def source(self) -> str:
        """What they are."""
        return "Points drawn at random for a test, without a licence."


@final
class Honest(Points):
    """Keeps every promise."""


@final
class HasAnExample(Points):
    """Is in no recipe and in no example."""


@final
class BatchesHoldWhatItSays(Points):
    """Forgets the labels it declares."""

    def batch(self, items: Tensor) -> Flow:
        """Without labels."""
        return {"image": self._points[items], "sample": items}


@final
class AnItemStaysWhatItIs(Points):
    """Reads the points in ascending order, as a file is read, and does not put them back."""

    def batch(self, items: Tensor) -> Flow:
        """Points of the sorted items."""
        return {**super().batch(items), "image": self._points[items.sort().values]}


@final
class SplitsDoNotOverlap(Points):
    """Tests on an item that it trains on."""

    @property
    def splits(self) -> Mapping[str, Split]:
        """Off by one."""
        return {"all": Split(torch.arange(33), torch.arange(40, 64), torch.arange(32, 40))}


@final
class SaysWhereItComesFrom(Points):
    """Says nothing."""

    source = ""


@final
class LoadingLeavesGeneratorsAlone(Points):
    """Draws from torch's global generator."""

    def load(self) -> None:
        """Draw them, seen by everybody."""
        super().load()
        self._points = torch.randn(96, 6)
