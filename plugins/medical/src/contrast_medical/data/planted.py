"""Handwritten digits, in half of which an opacity is planted: real images, and everything salient is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import final

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from contrast_core.data.files import array_of, load_arrays
from contrast_core.data.splits import seeded_split
from contrast_core.interfaces import Split
from contrast_medical.data.two_sets import Attribute, TwoSets

KINDS = ("disc", "ring", "cross", "bars")


@final
class Planted(TwoSets):
    """Images x, a random half of which are targets: strength_x x + strength opacity, clipped at 1.

    An opacity is a small bright figure, a disc, ring, cross or pair of bars, at a random place. So `kind` is salient;
    common are the images' own labels, under the name `content`.

    Args:
        path: an .npz file with `images` (n, h, w) uint8 and `labels` (n,); left out, the 1,797 digits of scikit-learn,
            enlarged to 24 x 24 pixels.
        copies: how often each image is used, each time with a role, opacity and place of its own; copies of an image
            lie in one part of the split.
        share: of the image in the sum; the opacity has the rest.
        radius: of opacities, as a share of the images' side.
        seed: of roles, kinds and places.
        validation, test, split_seed: see `TwoSets`.

    Raises:
        ValueError: for options out of range; when loading, for a file that can't be read or has no such arrays.

    Source: as `core/digits`.
    """

    def __init__(
        self,
        path: Path | None = None,
        copies: int = 2,
        share: float = 0.5,
        radius: float = 0.2,
        seed: int = 0,
        validation: float = 0.1,
        test: float = 0.3,
        split_seed: int = 0,
    ):
        super().__init__(validation, test, split_seed)
        if copies < 1 or not 0 < share < 1 or not 0 < radius < 0.5:
            raise ValueError(
                f"copies = {copies} must be at least 1, share = {share} in (0, 1), radius = {radius} in (0, 0.5)."
            )
        self.path, self.copies, self.share, self.radius, self.seed = path, copies, share, radius, seed

    def _read(self) -> tuple[Tensor, Tensor, Mapping[str, Attribute]]:
        images, labels, classes = _digits() if self.path is None else _from_file(self.path)
        generator = torch.Generator().manual_seed(self.seed)
        images, labels = images.repeat(self.copies, 1, 1), labels.repeat(self.copies)
        n, height, width = images.shape
        role = (torch.randperm(n, generator=generator) < n // 2).long()
        kind = torch.randint(len(KINDS), (n,), generator=generator)
        margin = self.radius
        place = margin + (1 - 2 * margin) * torch.rand(n, 2, generator=generator)
        planted = drawn(kind, place, self.radius, height, width) * role[:, None, None]
        mixed = (self.share * images + (1 - self.share) * planted).clamp(0, 1)
        attributes = {
            "content": Attribute("common", labels, classes),
            "kind": Attribute("salient", torch.where(role == 1, kind, -1), KINDS),
        }
        return (mixed * 255).round().to(torch.uint8)[:, None], role, attributes

    def _parts(self) -> Split:
        """The originals are split, so that no copy of a test image is trained on."""
        one = len(self) // self.copies
        split = seeded_split(self._attributes["content"].values[:one], self.validation, self.test, self.split_seed)
        shifts = torch.arange(self.copies)[:, None] * one
        return Split(*((shifts + part).flatten() for part in (split.train, split.val, split.test)))

    @property
    def source(self) -> str:
        """Where the images come from, and what was planted."""
        where = (
            "Optical Recognition of Handwritten Digits, test part (UCI, doi:10.24432/C50P49, CC BY 4.0), as shipped "
            "with scikit-learn"
            if self.path is None
            else self.path.name
        )
        return f"{where}; {len(self)} images, {int(self._role.sum())} of them with a planted opacity"


def drawn(kind: Tensor, place: Tensor, radius: float, height: int, width: int) -> Tensor:
    """Opacities of the kinds (n,) at places (n, 2) in [0, 1]: (n, height, width) in [0, 1]."""
    y = ((torch.arange(height) + 0.5) / height)[None, :, None] - place[:, 0, None, None]
    x = ((torch.arange(width) + 0.5) / width)[None, None, :] - place[:, 1, None, None]
    y, x = y / radius, x / radius
    distance = (x**2 + y**2).sqrt()
    inside = (x.abs() < 1) & (y.abs() < 1)
    thin = 0.3
    shapes = [
        distance < 0.8,
        (distance < 1) & (distance > 0.6),
        inside & ((x.abs() < thin) | (y.abs() < thin)),
        inside & (x.abs() > 0.45),
    ]
    every = torch.stack([shape.expand(len(kind), height, width) for shape in shapes])
    return every[kind, torch.arange(len(kind))].float()


def _digits() -> tuple[Tensor, Tensor, list[str]]:
    found = load_digits()
    small = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16
    large = torch.nn.functional.interpolate(small, (24, 24), mode="bilinear")[:, 0]
    return large, torch.tensor(found.target, dtype=torch.int64), [str(digit) for digit in range(10)]


def _from_file(path: Path) -> tuple[Tensor, Tensor, list[str]]:
    arrays = load_arrays(path, ("images", "labels"), "images")
    images, labels = (torch.from_numpy(array_of(path.name, arrays, name)) for name in ("images", "labels"))
    if images.dtype != torch.uint8 or images.dim() != 3 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{path.name}: 'images' must be uint8 (n, h, w) and 'labels' (n,), not {images.dtype} "
            f"{tuple(images.shape)} and {tuple(labels.shape)}."
        )
    classes, numbers = labels.unique(return_inverse=True)
    return images.float() / 255, numbers, [str(name) for name in classes.tolist()]
