"""Images in one .npz file, with classes, and groups of classes that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from contrast_core.data.files import array_of, load_arrays
from contrast_core.data.image_files import Form, read_image_arrays
from contrast_core.data.labels import ordered
from contrast_core.errors import did_you_mean
from contrast_core.interfaces import Data, Flow


@final
class ImageArrays(Data):
    """Images of an .npz file; training draws those of some groups, episodes come from the others.

    A batch of B items holds `image` (B, C, h, w) float32 in [0, 1], `sample` and, with `shown`, `label`, int64.

    Args:
        path: the file; it has to be given.
        images: key of the images, uint8 or floating in [0, 1], (n, h, w), (n, h, w, C) or (n, C, h, w).
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
        self._classes: Sequence[str] = ()

    def load(self) -> None:
        """Read the arrays and part the items."""
        path, (images, label, group) = Path(self.path), self.keys
        self._images, texts = read_image_arrays(path, images, label, Form(None, None, skip_corrupt=False))
        groups = array_of(path.name, load_arrays(path, (group,), images), group)
        if groups.shape != (len(self._images),):
            raise ValueError(
                f"'{group}' of {path.name} has shape {groups.shape}, but there are {len(self._images)} images."
            )
        self._classes, self._labels = ordered(texts or ())
        have, numbers = ordered([str(value) for value in groups.tolist()])
        for name in self.novel:
            if name not in have:
                raise ValueError(f"'{group}' has no '{name}', only {', '.join(have)}.{did_you_mean(name, have)}")
        held = torch.isin(numbers, torch.tensor([have.index(name) for name in self.novel]))
        self._base, self._novel = (~held).nonzero().squeeze(1), held.nonzero().squeeze(1)
        if not len(self._base):
            raise ValueError("All groups are held out, so that nothing is left to train on; name fewer.")

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
