"""Random views of images by affine maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.interfaces import Flow, View

RANGES = {"rotation": 180.0, "scale": 0.9, "shear": 80.0, "shift": 1.0}


@final
class Affine(View):
    """Several views of images (B, C, H, W), each turned, scaled, sheared and moved at random, bilinear, zeros outside.

    Per image and view: an angle uniform in +- rotation degrees, a scale in 1 +- scale, a shear in +- shear degrees
    along x, and moves in +- shift of height and width. In evaluation mode every view is the image itself. Random
    numbers come from torch's global generator, which a run seeds and checkpoints.

    Args:
        source: the input, floating point.
        names: the views to make.
        rotation, shear: degrees; scale, shift: shares.

    Raises:
        ValueError: for options out of range, no name or one twice; in use, for an input that is no image.
    """

    def __init__(
        self,
        source: str = "image",
        names: Sequence[str] = ("one", "two"),
        rotation: float = 15.0,
        scale: float = 0.2,
        shear: float = 10.0,
        shift: float = 0.1,
    ):
        super().__init__()
        if not names or len(set(names)) < len(names):
            raise ValueError(f"names must hold at least one view and none twice, not {list(names)}.")
        for key, value in (("rotation", rotation), ("scale", scale), ("shear", shear), ("shift", shift)):
            if not 0 <= value <= RANGES[key]:
                raise ValueError(f"{key} = {value} must be from 0 to {RANGES[key]:g}.")
        self.needs, self.gives = (source,), tuple(names)
        self.source, self.names = source, tuple(names)
        self.rotation, self.scale, self.shear, self.shift = rotation, scale, shear, shift

    def forward(self, flow: Flow) -> Flow:
        """The views by name."""
        images: Tensor = flow[self.source]
        if images.dim() != 4 or not images.is_floating_point():
            raise ValueError(
                f"The input '{self.source}' is {images.dtype} of shape {tuple(images.shape)}; affine views need "
                "floating-point images, (B, C, H, W)."
            )
        return {name: self._draw(images) if self.training else images for name in self.names}

    def _draw(self, images: Tensor) -> Tensor:
        draws = 2 * torch.rand(5, len(images), device=images.device, dtype=images.dtype) - 1
        angle, shear = draws[0] * math.radians(self.rotation), torch.tan(draws[1] * math.radians(self.shear))
        zoom = 1 + draws[2] * self.scale
        cos, sin = angle.cos() / zoom, angle.sin() / zoom
        # Where a pixel of the view comes from: turned and scaled after the shear; +-1 are the borders.
        rows = [torch.stack([cos, cos * shear - sin, 2 * self.shift * draws[3]], 1)]
        rows.append(torch.stack([sin, sin * shear + cos, 2 * self.shift * draws[4]], 1))
        grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, align_corners=False)
