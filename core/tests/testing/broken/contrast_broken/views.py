"""Three views of the scene's images."""

from __future__ import annotations

import random
from typing import final

import torch
from torch import Tensor

from contrast_core.interfaces import Flow, View


class _Noise(View):
    """view = image + noise in training, the image itself in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.needs, self.gives = ("image",), ("one", "two", "three")

    def draw(self, x: Tensor) -> Tensor:
        """One view."""
        return x + 0.1 * torch.randn_like(x) if self.training else x

    def forward(self, flow: Flow) -> Flow:
        """Three views."""
        return {name: self.draw(flow["image"]) for name in ("one", "two", "three")}


@final
class Honest(_Noise):
    """Keeps every promise."""


@final
class GivesWhatItSays(_Noise):
    """Declares a fourth view and forgets it."""

    gives: tuple[str, ...]

    def __init__(self) -> None:
        super().__init__()
        self.gives = ("one", "two", "three", "four")


@final
class ReadsWhatItNeeds(_Noise):
    """Looks at labels without saying so."""

    def forward(self, flow: Flow) -> Flow:
        """Brighter for higher labels."""
        return {name: x + 0.01 * flow["label"].view(-1, 1, 1, 1) for name, x in super().forward(flow).items()}


@final
class LeavesItsInputAlone(_Noise):
    """Clips the images in place."""

    def draw(self, x: Tensor) -> Tensor:
        """One view of what is left."""
        return super().draw(x.clamp_(max=0.5))


@final
class NothingRandomInEvaluation(_Noise):
    """Forgets to ask for the mode."""

    def draw(self, x: Tensor) -> Tensor:
        """One view."""
        return x + 0.1 * torch.randn_like(x)


@final
class SameSeedSameViews(_Noise):
    """Has a source of randomness that nobody seeds."""

    def draw(self, x: Tensor) -> Tensor:
        """One view."""
        return x + random.SystemRandom().random() if self.training else x


@final
class OrderOfItems(_Noise):
    """Subtracts the first image of the batch as a background."""

    def draw(self, x: Tensor) -> Tensor:
        """One view."""
        return super().draw(x - x[:1])


@final
class ContinuesBitForBit(_Noise):
    """Lets the noise fade by a counter in a plain attribute."""

    steps = 0

    def draw(self, x: Tensor) -> Tensor:
        """One view."""
        return x + 0.1 * 0.5**self.steps * torch.randn_like(x) if self.training else x

    def after_update(self) -> None:
        """Count."""
        self.steps += 1
