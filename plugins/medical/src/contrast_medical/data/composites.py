"""Photographs, half of them with something laid over: two sets of images put together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.data.image_files import Form, read_image_arrays
from contrast_core.data.labels import ordered
from contrast_core.data.splits import seeded_split
from contrast_core.interfaces import Split
from contrast_medical.data.grouped import Attribute, TwoGroups
from contrast_medical.roles import BACKGROUND, TARGET


class Labelled(NamedTuple):
    """Images (n, C, H, W) uint8, and the number and the names of their classes."""

    images: Tensor
    numbers: Tensor
    classes: list[str]


@final
class Composites(TwoGroups):
    """Photographs that both groups show, and overlays that only the target shows, as CIFAR-MNIST.

    image = 0.5 photograph (background) or 0.5 photograph + 0.5 overlay (target), the overlay in the middle on black.
    Common is the class of the photograph, salient that of the overlay. Photographs and overlays are each split in
    three first, with every class in proportion: what is tested on shows neither a photograph nor an overlay that was
    trained on. Within a part they are drawn without repeating until all were used, the background's photographs before
    the target's; where there are fewer than wanted, they come again, in other pairs.

    Args:
        photos: .npz file of the photographs; it has to be given.
        overlays: .npz file of the overlays; it has to be given.
        image: name of the arrays of images in both files, uint8 or floating in [0, 1].
        label: name of the arrays of classes in both files.
        photo: what the attribute of the photographs is called.
        overlay: what the attribute of the overlays is called.
        train_counts: how many background and target images are trained on; a share of them, as `validation` says, is
            set aside to choose a probe on.
        test_counts: how many background and target images are tested on.
        size: height and width to which the photographs are resized; left out, they stay as they are.
        channels: 1 or 3, to which both are converted; left out, grey overlays take the photographs' channels.
        seed: of the pairs.
        validation: fraction of photographs and overlays to choose a probe on.
        test: fraction of photographs and overlays to test on.
        split_seed: of the split.

    Raises:
        ValueError: for a file that is not given or options out of range; by `load`, for files that can't be read or
            lack an array, overlays that are larger than the photographs or in colour where those are grey, and fewer
            photographs or overlays than give some to every part.

    Differs from the paper: there the published test part of either set is the part that is tested on.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928, with 25,000 images a group to train and 500 to test on.
    """

    def __init__(
        self,
        photos: str | None = None,
        overlays: str | None = None,
        image: str = "images",
        label: str = "labels",
        photo: str = "photo",
        overlay: str = "overlay",
        train_counts: tuple[int, int] = (25000, 25000),
        test_counts: tuple[int, int] = (500, 500),
        size: tuple[int, int] | None = None,
        channels: Literal[1, 3] | None = None,
        seed: int = 0,
        validation: float = 0.1,
        test: float = 0.2,
        split_seed: int = 0,
    ):
        super().__init__(validation, test, split_seed)
        for option, given in (("photos", photos), ("overlays", overlays)):
            if given is None:
                raise ValueError(f"Composites are made of two .npz files of images: --set data.{option}=FILE.")
        if min(*train_counts, *test_counts) < 1 or min(validation, test) <= 0:
            raise ValueError(
                f"train_counts = {list(train_counts)} and test_counts = {list(test_counts)} must be at least 1 of each "
                f"group, validation = {validation} and test = {test} more than 0."
            )
        if photo == overlay:
            raise ValueError(f"photo and overlay are both called '{photo}'; the two attributes need two names.")
        self.photos, self.overlays, self.keys, self.attribute_names = photos, overlays, (image, label), (photo, overlay)
        self.train_counts, self.test_counts, self.seed = train_counts, test_counts, seed
        self.size, self.channels = size, channels

    def load(self) -> None:
        """Read both files and put the images together."""
        photos = self._read(str(self.photos), self.size)
        overlays = self._read(str(self.overlays), None)
        laid = self._fitted(overlays.images, photos.images)
        generator = torch.Generator().manual_seed(self.seed)
        of_photos, of_overlays = (
            seeded_split(each.numbers, self.validation, self.test, self.split_seed) for each in (photos, overlays)
        )
        kept = self.validation / (1 - self.test)
        chosen = tuple(max(1, round(count * kept)) for count in self.train_counts)
        trained = tuple(count - less for count, less in zip(self.train_counts, chosen, strict=True))
        planned = (
            (trained, of_photos.train, of_overlays.train),
            (chosen, of_photos.val, of_overlays.val),
            (self.test_counts, of_photos.test, of_overlays.test),
        )
        below, above, parts, start = [], [], [], 0
        for counts, photo_rows, overlay_rows in planned:
            if not len(photo_rows) or not len(overlay_rows):
                raise ValueError(
                    f"{len(photos.images)} photographs and {len(overlays.images)} overlays are too few for three "
                    "parts: give more, or change validation and test."
                )
            below.append(_drawn(photo_rows, sum(counts), generator))
            above.append(torch.cat([torch.full((counts[0],), -1), _drawn(overlay_rows, counts[1], generator)]))
            parts.append(torch.arange(start, start + sum(counts)))
            start += sum(counts)
        under, over = torch.cat(below), torch.cat(above)
        roles = (over >= 0).long() * (TARGET - BACKGROUND) + BACKGROUND
        images = photos.images[under].int()
        images[over >= 0] += laid[over[over >= 0]]
        common, salient = self.attribute_names
        attributes = {
            common: Attribute(photos.numbers[under], "common", photos.classes),
            salient: Attribute(overlays.numbers[over].where(over >= 0, -1), "salient", overlays.classes),
        }
        self.take((images / 2).round().to(torch.uint8), roles, attributes, Split(*parts))

    def _read(self, path: str, size: tuple[int, int] | None) -> Labelled:
        image, label = self.keys
        images, facts = read_image_arrays(Path(path), image, [label], Form(size, self.channels, skip_corrupt=False))
        classes, numbers = ordered(facts[label])
        return Labelled(images, numbers, classes)

    def _fitted(self, overlays: Tensor, photos: Tensor) -> Tensor:
        """Overlays with the photographs' channels and size."""
        if overlays.shape[1] > photos.shape[1]:
            raise ValueError(
                f"The overlays of {self.overlays} are in colour, but the photographs of {self.photos} are grey: set "
                "channels = 1 or channels = 3 to convert both."
            )
        (height, width), (room_down, room_across) = overlays.shape[2:], photos.shape[2:]
        if height > room_down or width > room_across:
            raise ValueError(
                f"The overlays of {self.overlays} have {height} x {width} pixels, more than the photographs' "
                f"{room_down} x {room_across}: set size = [height, width] to resize the photographs."
            )
        down, across = room_down - height, room_across - width
        framed = functional.pad(overlays, (across // 2, across - across // 2, down // 2, down - down // 2))
        return framed.expand(-1, photos.shape[1], -1, -1).int()

    @property
    def source(self) -> str:
        """Both files, and how many images of each group were made of them."""
        return f"{Path(str(self.photos)).name} under {Path(str(self.overlays)).name}: {self.counted}"


def _drawn(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """As many of the rows, in random order; all are drawn before one is drawn again."""
    rounds = -(-count // len(rows))
    return torch.cat([rows[torch.randperm(len(rows), generator=generator)] for _ in range(rounds)])[:count]
