"""Images in one .npz file, with classes, and groups of classes that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from contrast_core.errors import did_you_mean
from contrast_core.interfaces import Data, Flow


@final
class ImageArrays(Data):
    """Images of an .npz file; training draws those of some groups, episodes come from the others.

    A batch of B items holds `image` (B, C, h, w) float32 in [0, 1], `sample` and, with `shown`, `label`, int64.

    Args:
        path: the file; it has to be given.
        images: key of the images, uint8, (n, h, w) or (n, h, w, C).
        label: key of the classes, (n,) integers or texts.
        group: key of the groups, (n,) integers or texts, for example alphabets; left out, every class is one.
        novel: the groups that are held out for episodes.
        shown: put labels into batches, to measure how pure neighbours are.

    Raises:
        ValueError: by `load`, if the file or an array can't be had, shapes do not agree, there is no such group, or
            nothing is left to train on or to evaluate.
    """

    def __init__(
        self,
        path: str | None = None,
        images: str = "images",
        label: str = "label",
        group: str | None = None,
        novel: Sequence[str] = (),
        shown: bool = True,
    ):
        if path is None:
            raise ValueError("These data are read from an .npz file: --set data.path=FILE.")
        if not novel:
            raise ValueError("Name the groups or classes that are held out for episodes in novel.")
        self.path, self.keys = path, (images, label, label if group is None else group)
        self.novel, self.shown = tuple(novel), shown
        self.gives = ("image", "sample", *(("label",) if shown else ()), "embedding.label")
        self._images = torch.empty(0)
        self._labels = self._base = self._novel = torch.empty(0, dtype=torch.int64)
        self._classes: list[str] = []

    def load(self) -> None:
        """Read the arrays and part the items."""
        pixels, labels, groups = self._read()
        if (
            pixels.dtype != np.uint8
            or pixels.ndim not in (3, 4)
            or (pixels.ndim == 4 and pixels.shape[3] not in (1, 3))
        ):
            raise ValueError(
                f"'{self.keys[0]}' of {self.path} is {pixels.dtype} of shape {pixels.shape}; images are uint8, "
                "(n, h, w) of grey or (n, h, w, 3) of colour."
            )
        for key, found in zip(self.keys[1:], (labels, groups), strict=True):
            if found.shape != pixels.shape[:1]:
                raise ValueError(f"'{key}' of {self.path} has shape {found.shape}, but there are {len(pixels)} images.")
        values, numbers = np.unique(labels, return_inverse=True)
        self._classes = [str(value) for value in values]
        self._labels = torch.tensor(numbers, dtype=torch.int64)
        self._images = torch.tensor(pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2))
        have = [str(value) for value in np.unique(groups)]
        for name in self.novel:
            if name not in have:
                raise ValueError(f"'{self.keys[2]}' has no '{name}', only {', '.join(have)}.{did_you_mean(name, have)}")
        held = torch.tensor(np.isin(groups.astype(str), self.novel))
        self._base, self._novel = (~held).nonzero().squeeze(1), held.nonzero().squeeze(1)
        if not len(self._base):
            raise ValueError("All groups are held out, so that nothing is left to train on; name fewer.")

    def _read(self) -> list[np.ndarray[Any, Any]]:
        if not Path(self.path).is_file():
            raise ValueError(f"There is no file {self.path}; give an .npz file with --set data.path=FILE.")
        try:
            with np.load(self.path, allow_pickle=False) as file:
                found = {key: file[key] for key in dict.fromkeys(self.keys) if key in file.files}
                have = ", ".join(file.files)
        except (OSError, EOFError, ValueError, AttributeError, BadZipFile) as error:
            # np.load gives the array itself for a .npy file, which has no names: an AttributeError.
            raise ValueError(f"{self.path} is no .npz file that can be read: {error}") from error
        for key in self.keys:
            if key not in found:
                raise ValueError(f"{self.path} has no array '{key}', only {have}.")
        return [found[key] for key in self.keys]

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, items: Tensor) -> Flow:
        """Images, numbers and, if shown, labels."""
        found: dict[str, Tensor] = {"image": self._images[items].float() / 255, "sample": items}
        return {**found, "label": self._labels[items]} if self.shown else found

    @property
    def training_items(self) -> Tensor | None:
        """Items of all groups that are not held out."""
        return self._base

    @property
    def evaluation_items(self) -> Tensor | None:
        """Items of the groups that are held out."""
        return self._novel

    @property
    def labels(self) -> Tensor | None:
        """The class of each image."""
        return self._labels

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes."""
        return self._classes

    @property
    def source(self) -> str:
        """The file, and what is held out."""
        return f"{self.path}; held out: {self.keys[2]} {', '.join(self.novel)}"
