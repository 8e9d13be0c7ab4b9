"""Procedural subjects, a shape with two colours in a texture, turned, scaled, placed; and their backgrounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHAPES = ("disc", "square", "triangle", "cross")
TEXTURES = ("stripes", "dots", "rings")
BACKGROUNDS = ("sky", "meadow", "brick")
FINE = 2
"""Pixels are drawn at this many times the size and averaged."""


def grid(size: int) -> tuple[Tensor, Tensor]:
    """x and y of the fine pixels, each (1, FINE size, FINE size), from -1 to 1."""
    line = (torch.arange(size * FINE) + 0.5) / (size * FINE) * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x[None], y[None]


def shape_distance(kind: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Below 0 inside of the shapes of radius 1; kind (n,) numbers `SHAPES`, x and y are (n, h, w)."""
    turned = [math.pi / 2 + 2 * math.pi * k / 3 for k in range(3)]
    found = torch.stack([
        (x**2 + y**2).sqrt() - 0.9,
        torch.maximum(x.abs(), y.abs()) - 0.8,
        torch.stack([x * math.cos(a) + y * math.sin(a) for a in turned]).amax(0) - 0.55,
        torch.minimum(torch.maximum(x.abs() - 0.95, y.abs() - 0.38), torch.maximum(x.abs() - 0.38, y.abs() - 0.95)),
    ])  # fmt: skip
    return found[kind, torch.arange(len(kind))]


def texture(kind: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Share of the second colour, (n, h, w) in [0, 1]; kind (n,) numbers `TEXTURES`. None of them is symmetric."""
    waves = torch.stack([
        torch.sin(5 * x + 1) + 1.5 * (y > 0.3),
        2 * torch.cos(4 * x) * torch.cos(4 * y) + x,
        torch.sin(9 * (x**2 + (y - 0.4) ** 2).sqrt()) + 0.3,
    ])  # fmt: skip
    return torch.sigmoid(4 * waves[kind, torch.arange(len(kind))])


def background(kind: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """(n, 3, size, size) in [0, 1]: clouds on a sky, blades of a meadow, a wall of bricks, each drawn anew."""
    n = len(kind)
    x, y = grid(size)
    shift = torch.rand(n, 4, 1, 1, generator=generator) * 2 * math.pi
    clouds = torch.sigmoid(3 * (torch.sin(3 * x + shift[:, 0]) * torch.sin(4 * y + shift[:, 1]) - 0.3))
    blades = 0.5 + 0.5 * torch.sin(14 * x + 2 * torch.sin(3 * y + shift[:, 0]) + shift[:, 1])
    rows = torch.floor((y + shift[:, 2] / 7) * 3)
    joints = ((((y + shift[:, 2] / 7) * 3) % 1) < 0.2) | (((x * 2 + rows * 0.5 + shift[:, 3]) % 1) < 0.12)
    amounts = torch.stack([clouds, blades, joints.float()])
    colours = torch.tensor([
        [[0.35, 0.6, 0.95], [0.95, 0.97, 1.0]],
        [[0.1, 0.4, 0.1], [0.45, 0.75, 0.25]],
        [[0.6, 0.25, 0.18], [0.8, 0.75, 0.7]],
    ])  # fmt: skip
    amount = amounts[kind, torch.arange(n)][:, None]
    low, high = (colours[kind, which][:, :, None, None] for which in (0, 1))
    return torch.nn.functional.avg_pool2d(low + (high - low) * amount, FINE)


def subject(
    shape: Tensor, pattern: Tensor, colours: Tensor, pose: Tensor, scale: Tensor, place: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Pictures (n, 3, size, size) of subjects and their masks (n, 1, size, size), in [0, 1].

    Args:
        shape, pattern: (n,) int64, numbers of `SHAPES` and `TEXTURES`.
        colours: (n, 2, 3) in [0, 1].
        pose: (n,) angle in radians; scale: (n,) radius, 1 fills the picture; place: (n, 2) of the middle, x and y.
        size: of the pictures, in pixels.
    """
    x, y = grid(size)
    x, y = ((axis - place[:, k, None, None]) / scale[:, None, None] for k, axis in enumerate((x, y)))
    cosine, sine = pose.cos()[:, None, None], pose.sin()[:, None, None]
    x, y = cosine * x + sine * y, cosine * y - sine * x
    mask = torch.sigmoid(-shape_distance(shape, x, y) * scale[:, None, None] * size)[:, None]
    share = texture(pattern, x, y)[:, None]
    colour = [colours[:, k, :, None, None] for k in (0, 1)]
    picture = colour[0] + (colour[1] - colour[0]) * share
    pool = torch.nn.functional.avg_pool2d
    return pool(picture * mask, FINE) / pool(mask, FINE).clamp(min=1e-6), pool(mask, FINE)
