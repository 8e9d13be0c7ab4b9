"""What image views do to a batch (B, C, H, W), every image by its own draw from torch's global generator."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def between(low: float, high: float, x: Tensor) -> Tensor:
    """A number an image, uniform from low to high, (B,)."""
    return low + (high - low) * torch.rand(len(x), device=x.device, dtype=x.dtype)


class Motion(NamedTuple):
    """How images are cropped and moved; what is 0 draws no number.

    crop: least and largest share of the area. flips: probabilities, left with right and top with bottom.
    rotation, shear: degrees either way. shift: pixels either way. scale: s, a factor from 1 - s to 1 + s.
    size: side of the square that is read; None leaves height and width.
    """

    crop: tuple[float, float]
    flips: tuple[float, float]
    rotation: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    size: int | None = None

    @property
    def moves(self) -> bool:
        """Whether anything is done at all."""
        parts = (*self.flips, self.rotation, self.shift, self.scale, self.shear)
        return self.crop[0] < 1 or self.size is not None or any(parts)


def moved(x: Tensor, motion: Motion) -> Tensor:
    """All of a motion as one affine map with bilinear reading, black outside; (B, C, H, W) or (B, C, size, size)."""
    count, _, height, width = x.shape
    down_to, across_to = (height, width) if motion.size is None else (motion.size, motion.size)
    area = between(*motion.crop, x)
    ratio = torch.ones_like(area)
    if motion.crop != (1, 1):
        ratio = between(math.log(3 / 4), math.log(4 / 3), x).exp()
    ratio = ratio * (across_to * height / (down_to * width))
    across, down = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    centre_x = (1 - across) * between(-1, 1, x) + 2 * motion.shift / width * between(-1, 1, x)
    centre_y = (1 - down) * between(-1, 1, x) + 2 * motion.shift / height * between(-1, 1, x)
    mirror_x = torch.where(between(0, 1, x) < motion.flips[0], -1.0, 1.0) if motion.flips[0] else 1.0
    mirror_y = torch.where(between(0, 1, x) < motion.flips[1], -1.0, 1.0) if motion.flips[1] else 1.0
    angle = between(-1, 1, x) * math.radians(motion.rotation) if motion.rotation else torch.zeros_like(area)
    cos, sin = angle.cos(), angle.sin()
    if motion.scale:
        zoom = between(1 - motion.scale, 1 + motion.scale, x)
        cos, sin = cos / zoom, sin / zoom
    # Turned after the shear along x.
    up_x, up_y = -sin, cos
    if motion.shear:
        slope = (between(-1, 1, x) * math.radians(motion.shear)).tan()
        up_x, up_y = up_x + cos * slope, up_y + sin * slope
    # Coordinates go from -1 to 1 in both directions, so a rotation of an oblong image needs its aspect.
    theta = torch.stack(
        [
            torch.stack([across * cos * mirror_x, down * up_x * mirror_y * height / width, centre_x], 1),
            torch.stack([across * sin * mirror_x * width / height, down * up_y * mirror_y, centre_y], 1),
        ],
        1,
    )
    grid = functional.affine_grid(theta.to(x.dtype), [count, 1, down_to, across_to], align_corners=False)
    # Black begins at the image's edge, not half a pixel inside of it, where zeros for padding would mix in.
    inside = (grid.abs() <= 1 + 1e-6).all(3)[:, None]
    read = functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return (read * inside).clamp(0, 1)


def middle(x: Tensor, size: int) -> Tensor:
    """The square of `size` pixels in the middle.

    Raises:
        ValueError: if the images are smaller.
    """
    top, left = ((side - size) // 2 for side in x.shape[2:])
    if min(x.shape[2:]) < size:
        raise ValueError(f"Images of {x.shape[2]} x {x.shape[3]} pixels are smaller than size = {size}.")
    return x[:, :, top : top + size, left : left + size]


def grey(x: Tensor) -> Tensor:
    """The luma in every channel; grey images as they are."""
    if x.shape[1] == 1:
        return x
    return (x * x.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True).expand_as(x)


def jittered(x: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Brightness, then contrast about the image's mean luma, then saturation about grey."""
    if brightness:
        x = (x * between(1 - brightness, 1 + brightness, x)[:, None, None, None]).clamp(0, 1)
    if contrast:
        mean = grey(x).mean((1, 2, 3), keepdim=True)
        x = (mean + (x - mean) * between(1 - contrast, 1 + contrast, x)[:, None, None, None]).clamp(0, 1)
    if saturation and x.shape[1] == 3:
        plain = grey(x)
        x = (plain + (x - plain) * between(1 - saturation, 1 + saturation, x)[:, None, None, None]).clamp(0, 1)
    return x


def blurred(x: Tensor) -> Tensor:
    """A Gaussian blur with a standard deviation of 0.1 to 2 pixels; edges are repeated."""
    count, channels, height, width = x.shape
    radius = min(4, height - 1, width - 1)
    steps = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = (-(steps**2) / (2 * between(0.1, 2.0, x)[:, None] ** 2)).softmax(1).repeat_interleave(channels, 0)
    flat = functional.pad(x.reshape(1, -1, height, width), [radius] * 4, mode="replicate")
    flat = functional.conv2d(flat, kernel[:, None, None, :], groups=count * channels)
    return functional.conv2d(flat, kernel[:, None, :, None], groups=count * channels).view_as(x)


def solarised(x: Tensor) -> Tensor:
    """Values above one half inverted."""
    return torch.where(x > 0.5, 1 - x, x)


def cut_out(x: Tensor, share: float) -> Tensor:
    """A black square, its side a share of the smaller side, wholly inside the image."""
    height, width = x.shape[2:]
    side = max(1, round(share * min(height, width)))
    top = (between(0, 1, x) * (height - side + 1)).floor()[:, None]
    left = (between(0, 1, x) * (width - side + 1)).floor()[:, None]
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    inside = ((rows >= top) & (rows < top + side))[:, :, None] & ((columns >= left) & (columns < left + side))[:, None]
    return x.masked_fill(inside[:, None], 0.0)
