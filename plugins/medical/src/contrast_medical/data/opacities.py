"""Radiographs or any other images, half of them with a planted opacity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, final

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from contrast_core.data.image_files import Form, read_image_arrays
from contrast_core.data.labels import ordered
from contrast_core.data.splits import seeded_split
from contrast_core.errors import did_you_mean
from contrast_medical.data.grouped import Attribute, TwoGroups
from contrast_medical.data.planted import MARKS, copied, half, marks
from contrast_medical.roles import TARGET

PLACES = ("upper left", "upper right", "lower left", "lower right")


@final
class PlantedOpacities(TwoGroups):
    """Images of one's own, one half as they are, the background, the other with a planted opacity, the target.

    image = min(1, original + strength * opacity): brighter where the opacity is, as on a radiograph. An opacity is a
    disc, a ring, a cross or bars with soft edges in one of the four quarters. Salient are its kind `mark` and its
    `place`, common the label of the original if it has one. What is planted where is drawn by `seed`, independently of
    the original.

    Args:
        path: .npz file of the originals; it has to be given.
        image: name of the array of images, uint8 or floating in [0, 1].
        label: name of the array of their classes; left out, there is no common attribute.
        only: the classes that are used, for example the healthy ones; left out, all.
        radius: of an opacity, as a share of the image's shorter side.
        softness: standard deviation of the blur of its edges, as a share of its radius.
        strength: of an opacity where it is brightest, from 0, invisible, to 1, white.
        copies: how often each original is used, each time with a role and an opacity of its own; the copies of an
            original are all trained on, or all tested on.
        size: height and width to which the images are resized; left out, they stay as they are.
        channels: 1 or 3, to which they are converted; left out, they stay as they are.
        seed: of roles and opacities.
        validation: fraction of the originals to choose a probe on.
        test: fraction of the originals to test a probe on.
        split_seed: of the split.

    Raises:
        ValueError: for a file that is not given or options out of range; by `load`, for a file that can't be read or
            lacks an array, and classes in `only` that do not occur.
    """

    def __init__(
        self,
        path: str | None = None,
        image: str = "images",
        label: str | None = None,
        only: Sequence[str] = (),
        radius: float = 0.15,
        softness: float = 0.15,
        strength: float = 0.35,
        copies: int = 1,
        size: tuple[int, int] | None = None,
        channels: Literal[1, 3] | None = None,
        seed: int = 0,
        validation: float = 0.1,
        test: float = 0.3,
        split_seed: int = 0,
    ):
        super().__init__(validation, test, split_seed)
        if path is None:
            raise ValueError("Opacities are planted into images of an .npz file: --set data.path=FILE.")
        if copies < 1 or not (0 < radius <= 0.25 and softness >= 0 and 0 < strength <= 1):
            raise ValueError(
                f"copies = {copies} must be at least 1, radius = {radius} in (0, 0.25], softness = {softness} not "
                f"negative, strength = {strength} in (0, 1]."
            )
        if only and label is None:
            raise ValueError(f"only = {list(only)} names classes: say in label which array holds them.")
        self.path, self.image, self.label, self.only = path, image, label, tuple(only)
        self.radius, self.softness, self.strength, self.copies, self.seed = radius, softness, strength, copies, seed
        self.form = Form(size, channels, skip_corrupt=False)

    def load(self) -> None:
        """Read the images and plant the opacities."""
        names = [] if self.label is None else [self.label]
        images, facts = read_image_arrays(Path(self.path), self.image, names, self.form)
        texts = facts[self.label] if self.label is not None else [""] * len(images)
        classes, numbers = ordered(texts)
        if self.only:
            for name in self.only:
                if name not in classes:
                    hint = did_you_mean(name, classes) or f" It has {', '.join(classes)}."
                    raise ValueError(f"'{self.label}' of {Path(self.path).name} has no class '{name}'.{hint}")
            kept = torch.tensor([text in self.only for text in texts])
            images, (classes, numbers) = images[kept], ordered([text for text in texts if text in self.only])
        split = copied(seeded_split(numbers, self.validation, self.test, self.split_seed), len(images), self.copies)
        images = images.repeat(self.copies, 1, 1, 1)
        generator = torch.Generator().manual_seed(self.seed)
        roles = half(len(images), generator)
        kinds = torch.randint(len(MARKS), (len(images),), generator=generator)
        places = torch.randint(len(PLACES), (len(images),), generator=generator)
        opacities = self._opacities(kinds, places, (images.shape[2], images.shape[3]), generator)
        planted = images + 255 * self.strength * opacities * roles[:, None, None, None]
        attributes = {
            "mark": Attribute(kinds.where(roles == TARGET, -1), "salient", MARKS),
            "place": Attribute(places.where(roles == TARGET, -1), "salient", PLACES),
        }
        if len(classes) > 1:
            attributes = {"label": Attribute(numbers.repeat(self.copies), "common", classes), **attributes}
        self.take(planted.clamp(max=255).round().to(torch.uint8), roles, attributes, split)

    def _opacities(self, kinds: Tensor, places: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """(n, 1, height, width) in [0, 1]: centres are at most a tenth of the side from the middle of their quarter."""
        quarters = torch.stack([places // 2, places % 2], dim=1)
        shift = torch.rand(quarters.shape, generator=generator) * 0.2 - 0.1
        centres = ((0.3 + 0.4 * quarters + shift) * torch.tensor(size)).round()
        radius = self.radius * min(size)
        sharp = marks(kinds, centres, size, radius)
        soft = torch.from_numpy(gaussian_filter(sharp.numpy(), self.softness * radius, axes=(2, 3)))
        return soft / soft.amax((1, 2, 3), keepdim=True)

    @property
    def source(self) -> str:
        """The file's name, and how many images there are of each group."""
        targets = int(self.roles.sum())
        return f"{Path(self.path).name}: {len(self) - targets} images as they are, {targets} with a planted opacity"
