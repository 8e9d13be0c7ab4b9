"""The image sets of few-shot learning, from their folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from contrast_core.data.image_files import GREY, MODES
from contrast_core.data.labels import ordered
from contrast_core.interfaces import Data, Flow
from contrast_fewshot.data.layouts import LAYOUTS, Listed


@final
class ImageSets(Data):
    """Image files whose classes are split: training draws the classes of "train", episodes those of "test".

    Images are read when a batch asks for them, their shorter side is resized to `size` and the middle cut out: `image`
    (B, channels, size, size) float32 in [0, 1]. A batch holds `sample` and, with `shown`, `label`, int64, too.

    Args:
        path: the folder; it has to be given.
        layout: how it is laid out: "folders" is train, val, test of class folders (tieredImageNet, FC100); "tables" a
            folder images and train.csv, val.csv, test.csv with filename and label (miniImageNet); "omniglot"
            images_background and images_evaluation; "cifar-fs" data and splits/bertinetto; "cub" a folder images, every
            second class to train on.
        size: side of the images.
        channels: 3 or 1.
        convert: turn grey images into colour or the other way round where they are not as `channels` says; otherwise
            such a file is refused.
        evaluate_on: "test", or "val" to choose settings.
        skip_corrupt: read every image once by `load`, leave out those that can't be, and say how many in `source`;
            otherwise the first such file is an error.
        shown: put labels into batches, to measure how pure neighbours are.

    Raises:
        ValueError: by `load` and `batch`, in a sentence that names the file or folder, if it is not there, is laid out
            otherwise, has no images to train on or to evaluate, or an image can't be read or has other channels.
    """

    def __init__(
        self,
        path: str | None = None,
        layout: Literal["folders", "tables", "omniglot", "cifar-fs", "cub"] = "folders",
        size: int = 84,
        channels: Literal[1, 3] = 3,
        convert: bool = False,
        evaluate_on: Literal["test", "val"] = "test",
        skip_corrupt: bool = False,
        shown: bool = False,
    ):
        if path is None:
            raise ValueError("These data are read from a folder: --set data.path=FOLDER.")
        if size < 1:
            raise ValueError(f"size = {size} must be at least 1 pixel.")
        self.path, self.layout, self.size, self.channels, self.convert = path, layout, size, channels, convert
        self.evaluate_on, self.skip_corrupt, self.shown = evaluate_on, skip_corrupt, shown
        self.gives = ("image", "sample", *(("label",) if shown else ()), "embedding.label")
        self._files: list[Listed] = []
        self._classes: list[str] = []
        self._labels = torch.empty(0, dtype=torch.int64)
        self._items: dict[str, Tensor] = {}
        self._skipped = 0

    def load(self) -> None:
        """List the files and look at each."""
        root, layout = Path(self.path), LAYOUTS[self.layout]
        if not root.is_dir():
            raise ValueError(f"There is no folder {self.path}; give one with --set data.path=FOLDER.")
        listed = list(layout.listing(root))
        for split in ("train", self.evaluate_on):
            if not any(each.split == split for each in listed):
                raise ValueError(
                    f"{self.path} has no images of '{split}'; the layout '{self.layout}' is {layout.wanted}."
                )
        self._files = [each for each in listed if each.split in ("train", self.evaluate_on) and self._fine(each.path)]
        self._skipped = sum(each.split in ("train", self.evaluate_on) for each in listed) - len(self._files)
        self._classes, self._labels = ordered([each.label for each in self._files])
        for split in ("train", self.evaluate_on):
            of_split = [number for number, each in enumerate(self._files) if each.split == split]
            self._items[split] = torch.tensor(of_split, dtype=torch.int64)
            if not of_split:
                raise ValueError(f"No image of '{split}' in {self.path} can be read; there is nothing to work with.")

    def _fine(self, path: Path) -> bool:
        if self.skip_corrupt:
            try:
                self._read(path)
            except ValueError as error:
                if isinstance(error.__cause__, OSError):
                    return False
                raise
            return True
        with _opened(path) as image:
            self._check(path, image)
        return True

    def _check(self, path: Path, image: Image.Image) -> None:
        grey = image.mode in GREY
        if not self.convert and grey != (self.channels == 1):
            kinds = ("grey", "colour") if grey else ("colour", "grey")
            raise ValueError(
                f"{path} is {kinds[0]}, but channels = {self.channels} asks for {kinds[1]}; set channels, or "
                "convert = true."
            )

    def _read(self, path: Path) -> np.ndarray:
        with _opened(path) as image:
            self._check(path, image)
            try:
                found = image.convert(MODES[self.channels])
            except (OSError, SyntaxError) as error:
                raise ValueError(_corrupt(path)) from OSError(str(error))
            scale = self.size / min(found.size)
            found = found.resize(
                [max(self.size, round(side * scale)) for side in found.size], Image.Resampling.BILINEAR
            )
            left, top = ((side - self.size) // 2 for side in found.size)
            pixels = np.asarray(found.crop((left, top, left + self.size, top + self.size)))
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)

    def __len__(self) -> int:
        return len(self._files)

    def batch(self, items: Tensor) -> Flow:
        """Images, numbers and, if shown, labels."""
        pixels = [torch.tensor(self._read(self._files[number].path)) for number in items.tolist()]
        empty = torch.empty(0, self.channels, self.size, self.size)
        found: dict[str, Tensor] = {"image": torch.stack(pixels).float() / 255 if pixels else empty, "sample": items}
        return {**found, "label": self._labels[items]} if self.shown else found

    @property
    def training_items(self) -> Tensor | None:
        """Items of the classes to train on."""
        return self._items["train"]

    @property
    def evaluation_items(self) -> Tensor | None:
        """Items of the classes that episodes are drawn from."""
        return self._items[self.evaluate_on]

    @property
    def labels(self) -> Tensor | None:
        """The class of each image."""
        return self._labels

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes."""
        return self._classes

    @property
    def names(self) -> Sequence[str]:
        """Paths within the folder."""
        return [str(each.path.relative_to(self.path)) for each in self._files]

    @property
    def source(self) -> str:
        """The folder, its layout, and what was left out."""
        skipped = f"; {self._skipped} files that can't be read were left out" if self._skipped else ""
        return f"{self.path}, laid out as {self.layout}, {len(self)} images{skipped}"


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}, which is listed; complete the folder or the list.") from error
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(_corrupt(path)) from error


def _corrupt(path: Path) -> str:
    return f"{path} is no image that can be read; replace it, or leave such files out with skip_corrupt = true."
