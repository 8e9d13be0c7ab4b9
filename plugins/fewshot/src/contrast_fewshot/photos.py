"""Random views of photographs: crops, flips, colours, blur."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.interfaces import Flow, View

GREY = (0.299, 0.587, 0.114)


@final
class PhotoViews(View):
    """Several views of images in [0, 1], (B, C, H, W), scaled by mean and deviation at the end.

    In training: a crop of area uniform in [least_area, 1] and log-uniform aspect 3/4 to 4/3, resized to `size`
    (bilinear); brightness, contrast and saturation times 1 +- jitter with probability 0.8; grey with 0.2; Gaussian blur
    of deviation 0.1 to 2 with 0.5; a horizontal and a vertical flip with 0.5 each. In evaluation the middle, `size`
    pixels wide. Random numbers come from torch's global generator, which a run seeds and checkpoints.

    BECLR's views also have a hue of 0.1 and two operations of RandAugment, which are not here.

    Args:
        source: the input, floating point in [0, 1].
        names: the views to make.
        size: side of the views.
        least_area: smallest part of an image that is cropped.
        jitter: of the colours.
        flips, colours: whether there are any.
        mean, deviation: of each channel, to scale by; as many as channels, or one for all.

    Raises:
        ValueError: for options out of range; in use, for an input that is no image, smaller than the views in
            evaluation, or whose channels mean and deviation do not suit.

    Paper: BECLR, ICLR 2024, arXiv 2402.02444.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        source: str = "image",
        names: Sequence[str] = ("one", "two"),
        size: int = 224,
        least_area: float = 0.2,
        jitter: float = 0.4,
        flips: bool = True,
        colours: bool = True,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        deviation: Sequence[float] = (0.229, 0.224, 0.225),
    ):
        super().__init__()
        if not names or len(set(names)) < len(names):
            raise ValueError(f"names must hold at least one view and none twice, not {list(names)}.")
        if size < 1 or not 0 < least_area <= 1 or not 0 <= jitter < 1:
            raise ValueError(
                f"size = {size} must be at least 1, least_area = {least_area} from above 0 to 1 and jitter = {jitter} "
                "from 0 to below 1."
            )
        if len(mean) != len(deviation) or not deviation or min(deviation) <= 0:
            raise ValueError(
                f"mean = {list(mean)} and deviation = {list(deviation)} are as many, and the latter positive."
            )
        self.needs, self.gives = (source,), tuple(names)
        self.source, self.names, self.size, self.least_area = source, tuple(names), size, least_area
        self.jitter, self.flips, self.colours = jitter, flips, colours
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None])

    def forward(self, flow: Flow) -> Flow:
        """The views by name."""
        images: Tensor = flow[self.source]
        if images.dim() != 4 or not images.is_floating_point() or len(self.mean) not in (1, images.shape[1]):
            raise ValueError(
                f"The input '{self.source}' is {images.dtype} of shape {tuple(images.shape)}; these views need "
                f"floating images (B, C, H, W) of {len(self.mean)} channels, as mean and deviation have."
            )
        return {
            name: self._scaled(self._draw(images) if self.training else self._middle(images)) for name in self.names
        }

    def _scaled(self, images: Tensor) -> Tensor:
        return (images - self.mean.to(images)) / self.deviation.to(images)

    def _middle(self, images: Tensor) -> Tensor:
        top, left = ((side - self.size) // 2 for side in images.shape[2:])
        if min(top, left) < 0:
            raise ValueError(
                f"Images of {images.shape[2]} x {images.shape[3]} pixels are smaller than {self.size}; set size."
            )
        return images[:, :, top : top + self.size, left : left + self.size]

    def _draw(self, images: Tensor) -> Tensor:
        found = self._cropped(images)
        if self.colours:
            found = _blurred(self._coloured(found))
        return found

    def _cropped(self, images: Tensor) -> Tensor:
        area, aspect, x, y, h, v = torch.rand(6, len(images), device=images.device, dtype=images.dtype)
        area = self.least_area + area * (1 - self.least_area)
        aspect = torch.exp((2 * aspect - 1) * math.log(4 / 3))
        # Half-widths in units in which the image goes from -1 to 1, for images of any shape.
        shape = images.shape[3] / images.shape[2]
        wide, high = (area * aspect / shape).sqrt().clamp(max=1), (area / aspect * shape).sqrt().clamp(max=1)
        mirror = [torch.where((draw < 0.5) & self.flips, -1.0, 1.0).to(images) for draw in (h, v)]
        zero = torch.zeros_like(wide)
        rows = [
            torch.stack([wide * mirror[0], zero, (2 * x - 1) * (1 - wide)], 1),
            torch.stack([zero, high * mirror[1], (2 * y - 1) * (1 - high)], 1),
        ]
        target = [len(images), images.shape[1], self.size, self.size]
        grid = functional.affine_grid(torch.stack(rows, 1), target, align_corners=False)
        return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def _coloured(self, images: Tensor) -> Tensor:
        draws = torch.rand(5, len(images), 1, 1, 1, device=images.device, dtype=images.dtype)
        factors = 1 + (2 * draws[:3] - 1) * self.jitter * (draws[3] < 0.8)
        found = (images * factors[0]).clamp(0, 1)
        level = _grey(found).mean((2, 3), keepdim=True)
        found = (level + (found - level) * factors[1]).clamp(0, 1)
        grey = _grey(found)
        found = (grey + (found - grey) * factors[2]).clamp(0, 1)
        return torch.where(draws[4] < 0.2, _grey(found), found)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    return (images * torch.tensor(GREY).to(images)[:, None, None]).sum(1, keepdim=True)


def _blurred(images: Tensor) -> Tensor:
    """Gaussian blur of half of the images, each with a deviation of its own."""
    count, channels = images.shape[:2]
    deviation, chosen = torch.rand(2, count, 1, device=images.device, dtype=images.dtype)
    deviation = torch.where(chosen < 0.5, 0.1 + 1.9 * deviation, 1e-3)
    reach = min(6, min(images.shape[2:]) - 1)
    offset = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.softmax(-(offset**2) / (2 * deviation**2), dim=1).repeat_interleave(channels, 0)
    found = functional.pad(images, [reach] * 4, mode="reflect").reshape(1, count * channels, *_grown(images, reach))
    found = functional.conv2d(found, weights[:, None, :, None], groups=count * channels)
    return functional.conv2d(found, weights[:, None, None, :], groups=count * channels).reshape(images.shape)


def _grown(images: Tensor, reach: int) -> tuple[int, int]:
    return images.shape[2] + 2 * reach, images.shape[3] + 2 * reach
