"""Grids of four handwritten digits, half of them with a drawn sprite whose attributes are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from contrast_core.data.labels import split_by_label
from contrast_core.interfaces import Split
from contrast_medical.data.grouped import Attribute, TwoGroups
from contrast_medical.roles import TARGET

GRID = ((1, 3), (2, 4))
SHAPES = ("square", "ellipse", "heart")
FACTS = ("shape", "scale", "orientation", "x", "y")


@final
class Sprites(TwoGroups):
    """Scikit-learn's digits 1, 3 above 2, 4 in a grid; the target has a sprite on it, as the paper's dSprites on MNIST.

    A sprite is a square, an ellipse or a heart of a scale from 0.5 to 1, an orientation from -pi/4 to pi/4 and a place
    x, y from 0 to 1, all drawn evenly and independently of each other and of the digits by `seed`. Salient are these
    five; common is the digits' "ink", their mean brightness. Images are one channel, twice `tile` wide and high; a
    digit that is tested on is never trained on.

    Args:
        images: how many, half of them target.
        tile: side of a digit in pixels; 32 in the paper.
        attributes: names of salient attributes that a batch holds as `attributes` (B, k).
        seed: of all that is drawn.
        validation: fraction of the images to choose a probe on.
        test: fraction of the images, and of the digits, to test a probe on.
        split_seed: of the split.

    Raises:
        ValueError: for fewer than 10 images, tiles below 8 pixels, attributes that there are not, or if the fractions
            leave nothing to train on.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928, which takes its sprites from dSprites and its digits
        from MNIST, 25,000 images of each group.
    """

    def __init__(
        self,
        images: int = 3000,
        tile: int = 16,
        attributes: Sequence[str] = FACTS,
        seed: int = 0,
        validation: float = 0.1,
        test: float = 0.3,
        split_seed: int = 0,
    ):
        super().__init__(validation, test, split_seed, attributes)
        if images < 10 or tile < 8:
            raise ValueError(f"images = {images} must be at least 10, tile = {tile} at least 8.")
        self.count, self.tile, self.seed = images, tile, seed

    def load(self) -> None:
        """Read the digits from scikit-learn and draw the sprites."""
        generator = torch.Generator().manual_seed(self.seed)
        roles = (torch.randperm(self.count, generator=generator) < self.count // 2).long()
        split = split_by_label(self.count, roles, self.validation, self.test, self.split_seed)
        drawn = torch.rand(self.count, 4, generator=generator, dtype=torch.float64)
        shape = torch.randint(len(SHAPES), (self.count,), generator=generator)
        numbers = {
            "scale": 0.5 + drawn[:, 0] / 2, "orientation": (drawn[:, 1] - 0.5) * math.pi / 2,
            "x": drawn[:, 2], "y": drawn[:, 3],
        }  # fmt: skip
        background = self._grid(split, generator)
        target = roles == TARGET
        scale, orientation, x, y = (numbers[name].float() for name in FACTS[1:])
        drawing = sprites(shape, scale, orientation, x, y, 2 * self.tile)
        images = (background + drawing * target[:, None, None, None]).clamp(max=1)
        unknown = torch.tensor(float("nan"), dtype=torch.float64)
        salient = {name: Attribute(values.where(target, unknown), "salient") for name, values in numbers.items()}
        attributes = {
            "ink": Attribute(background.mean((1, 2, 3)).double(), "common"),
            "shape": Attribute(shape.where(target, -1), "salient", SHAPES),
            **salient,
        }
        self.take((images * 255).round().to(torch.uint8), roles, attributes, split)

    def _grid(self, split: Split, generator: torch.Generator) -> Tensor:
        """(count, 1, 2 tile, 2 tile); digits of test images are drawn from others than those of all the rest."""
        found = load_digits()
        digits = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16.0
        digits = functional.interpolate(digits, (self.tile, self.tile), mode="bilinear")
        classes = torch.tensor(found.target)
        tested = torch.zeros(self.count, dtype=torch.bool)
        tested[split.test] = True
        rows = []
        for line in GRID:
            tiles = []
            for number in line:
                own = (classes == number).nonzero().flatten()
                own = own[torch.randperm(len(own), generator=generator)]
                kept = max(1, min(len(own) - 1, round(len(own) * self.test)))
                choice = torch.rand(self.count, generator=generator)
                test, rest = own[:kept], own[kept:]
                pick = torch.where(tested, test[(choice * len(test)).long()], rest[(choice * len(rest)).long()])
                tiles.append(digits[pick])
            rows.append(torch.cat(tiles, 3))
        return torch.cat(rows, 2)

    @property
    def names(self) -> Sequence[str]:
        """The sprite of each image, where there is one."""
        shapes = self.attributes["shape"].values.tolist()
        return ["no sprite" if shape < 0 else SHAPES[shape] for shape in shapes]

    @property
    def source(self) -> str:
        """Where the digits come from, and what was done to them."""
        return (
            "Optical Recognition of Handwritten Digits, test part (UCI, doi:10.24432/C50P49, CC BY 4.0), as shipped "
            f"with scikit-learn; {len(self)} grids of four digits, sprites drawn onto half of them"
        )


def sprites(shape: Tensor, scale: Tensor, orientation: Tensor, x: Tensor, y: Tensor, size: int) -> Tensor:
    """One sprite an image, (n, 1, size, size) in [0, 1]; edges are the mean of four points a pixel.

    Args:
        shape: (n,) int64, places in `SHAPES`.
        scale: (n,); at 1 a sprite is some 0.4 of the image wide.
        orientation: (n,), radians.
        x, y: (n,) from 0 (left, top) to 1; a sprite's centre stays a quarter of the image away from the border.
        size: height and width of the images.
    """
    place = (torch.arange(2 * size) + 0.5) / (2 * size)
    radius = 0.2 * scale[:, None, None]
    across = (place[None, None, :] - (0.25 + 0.5 * x[:, None, None])) / radius
    down = (place[None, :, None] - (0.25 + 0.5 * y[:, None, None])) / radius
    cos, sin = orientation.cos()[:, None, None], orientation.sin()[:, None, None]
    u, v = cos * across + sin * down, cos * down - sin * across
    square = (u.abs() < 0.75) & (v.abs() < 0.75)
    ellipse = u.square() + (v / 0.55).square() < 1
    a, b = 1.2 * u, -1.2 * v
    heart = (a.square() + b.square() - 1) ** 3 - a.square() * b**3 < 0
    inside = torch.stack([square, ellipse, heart])[shape, torch.arange(len(shape))]
    return functional.avg_pool2d(inside[:, None].float(), 2)
