"""What image views do to a batch (B, C, H, W), every image by its own draw from torch's global generator."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def between(low: float, high: float, x: Tensor) -> Tensor:
    """A number an image, uniform from low to high, (B,)."""
    return low + (high - low) * torch.rand(len(x), device=x.device, dtype=x.dtype)


def moved(x: Tensor, crop: tuple[float, float], flips: tuple[float, float], rotation: float, shift: float) -> Tensor:
    """Crop, flip, rotation (degrees) and shift (pixels) as one affine map with bilinear reading, black outside."""
    count, _, height, width = x.shape
    area = between(*crop, x)
    ratio = between(math.log(3 / 4), math.log(4 / 3), x).exp() if crop != (1, 1) else torch.ones_like(area)
    across, down = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    centre_x = (1 - across) * between(-1, 1, x) + 2 * shift / width * between(-1, 1, x)
    centre_y = (1 - down) * between(-1, 1, x) + 2 * shift / height * between(-1, 1, x)
    mirror_x = torch.where(between(0, 1, x) < flips[0], -1.0, 1.0) if flips[0] else 1.0
    mirror_y = torch.where(between(0, 1, x) < flips[1], -1.0, 1.0) if flips[1] else 1.0
    angle = between(-1, 1, x) * math.radians(rotation) if rotation else torch.zeros_like(area)
    cos, sin = angle.cos(), angle.sin()
    # Coordinates go from -1 to 1 in both directions, so a rotation of an oblong image needs its aspect.
    theta = torch.stack(
        [
            torch.stack([across * cos * mirror_x, -down * sin * mirror_y * height / width, centre_x], 1),
            torch.stack([across * sin * mirror_x * width / height, down * cos * mirror_y, centre_y], 1),
        ],
        1,
    )
    grid = functional.affine_grid(theta.to(x.dtype), [count, 1, height, width], align_corners=False)
    # Black begins at the image's edge, not half a pixel inside of it, where zeros for padding would mix in.
    inside = (grid.abs() <= 1 + 1e-6).all(3)[:, None]
    read = functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return (read * inside).clamp(0, 1)


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
