"""Random views of any tensor: noise, dropout, and for images a shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.interfaces import Flow, View


@final
class TensorViews(View):
    """Several random views of one input x, each drawn independently for every item:

        view = keep * shift(x) + noise * epsilon,    epsilon ~ N(0, 1),    keep ~ Bernoulli(1 - drop) per
        feature

    The shift moves an image (B, C, H, W) by whole pixels, dy and dx uniform in {-shift, ..., shift}, and
    fills with zeros; other shapes (B, ...) have nothing to shift. In evaluation mode every view is x itself.
    Random numbers come from torch's global generator, which a run seeds and checkpoints.

    Args:
        source: the input, floating point, (B, ...).
        names: the views to make, each of the input's shape.
        noise: standard deviation of the Gaussian noise, at least 0.
        drop: probability of setting a feature to zero, in [0, 1).
        shift: largest shift in pixels, at least 0.

    Raises:
        ValueError: for options outside these ranges, no name or one twice; in use, if the input is not
            floating point or the shift is as large as the image.
    """

    def __init__(
        self,
        source: str = "image",
        names: Sequence[str] = ("one", "two"),
        noise: float = 0.1,
        drop: float = 0.2,
        shift: int = 1,
    ):
        super().__init__()
        if not names or len(set(names)) < len(names):
            raise ValueError(f"names must hold at least one view and none twice, not {list(names)}.")
        if noise < 0:
            raise ValueError(f"noise = {noise} must not be negative: it is a standard deviation.")
        if not 0 <= drop < 1:
            raise ValueError(f"drop = {drop} must be a probability from 0 to less than 1.")
        if shift < 0:
            raise ValueError(f"shift = {shift} must not be negative: it is a number of pixels.")
        self.needs, self.gives = (source,), tuple(names)
        self.source, self.names = source, tuple(names)
        self.noise, self.drop, self.shift = noise, drop, shift

    def forward(self, flow: Flow) -> Flow:
        """The views by name."""
        x: Tensor = flow[self.source]
        if not x.is_floating_point():
            raise ValueError(f"The input '{self.source}' holds {x.dtype}; views need floating-point numbers.")
        return {name: self._draw(x) if self.training else x for name in self.names}

    def _draw(self, x: Tensor) -> Tensor:
        if self.shift and x.dim() == 4:
            x = self._shifted(x)
        if self.drop:
            x = x * (torch.rand_like(x) >= self.drop)
        return x + self.noise * torch.randn_like(x) if self.noise else x

    def _shifted(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        if self.shift >= min(height, width):
            raise ValueError(f"shift = {self.shift} would move images of {height} x {width} pixels out of sight.")
        offset = torch.randint(0, 2 * self.shift + 1, (2, count, 1), device=x.device)
        rows = (torch.arange(height, device=x.device) + offset[0])[:, :, None]
        columns = (torch.arange(width, device=x.device) + offset[1])[:, None, :]
        item = torch.arange(count, device=x.device)[:, None, None]
        padded = functional.pad(x, [self.shift] * 4)
        # Indices on both sides of a slice: the channel comes last.
        return padded[item, :, rows, columns].movedim(-1, 1)
