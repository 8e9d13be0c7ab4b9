"""One's own images: a folder a class, a table with a column of paths, or the arrays of a NumPy file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.data.image_files import (
    FOLDER,
    Form,
    left_out,
    listed,
    read_image_arrays,
    read_images,
    shown_path,
)
from contrast_core.data.labelled import LabelledData
from contrast_core.interfaces import Flow


@final
class Images(LabelledData):
    """Images with an item each, and a label an item if there are any; all are held in memory, a byte a number.

    A batch of B items holds `image` (B, C, H, W) float32 in [0, 1], `sample` (B,) int64 and, with labels, `label` (B,)
    int64, -1 where unknown or not shown. The split "all" has every class in proportion; items of unknown label train.

    Args:
        path: a folder with one folder of images a class, or of images alone; a .csv or .jsonl file with a column of
            paths, from its own folder on; or an .npz file with an array of images.
        image: the column of paths, or the array of images: uint8, or floating in [0, 1].
        label: the column or array of labels; an empty one is unknown. A folder's classes are its folders.
        group: the column or array of what items belong to beside their class: a site, a patient, an alphabet. Data
            around these may use it; the split here does not.
        size: height and width, to which images are resized; left out, all must be alike.
        channels: 1 or 3, to which images are converted; left out, all must be alike.
        skip_corrupt: leave out files that can't be read, and say how many; otherwise the first one is refused.
        validation: fraction of the items to choose a probe on.
        test: fraction of the items to test a probe on.
        split_seed: of the split.
        shown: whose labels batches hold: of the "train" items, so that a supervised objective never sees a label that
            is tested on, or of "all" or "none". Evaluators always see all labels.

    Raises:
        ValueError: for options outside these ranges, or groups of a folder; when loading, for a file that can't be
            read, or images that differ: the sentence names the file.
        ContrastError: when loading files without Pillow, which `pip install contrast-core[images]` brings.
    """

    def __init__(
        self,
        path: Path,
        image: str = "image",
        label: str | None = None,
        group: str | None = None,
        size: tuple[int, int] | None = None,
        channels: Literal[1, 3] | None = None,
        skip_corrupt: bool = False,
        validation: float = 0.1,
        test: float = 0.4,
        split_seed: int = 0,
        shown: Literal["train", "all", "none"] = "train",
    ):
        super().__init__(validation, test, split_seed, shown)
        if size is not None and min(size) < 1:
            raise ValueError(f"size = {list(size)} must be a height and a width of at least one pixel.")
        self.gives = ("image", "sample", *(("label", "embedding.label") if label is not None or path.is_dir() else ()))
        if group is not None and path.is_dir():
            raise ValueError(f"{path} is a folder, which has no groups: list its images in a table with '{group}'.")
        self.path, self.image, self.label, self.group = path, image, label, group
        self.form = Form(None if size is None else (size[0], size[1]), channels, skip_corrupt)
        self._images = torch.empty(0, dtype=torch.uint8)
        self._names: Sequence[str] = ()
        self._groups: Sequence[str] = ()
        self._skipped: Sequence[str] = ()

    def load(self) -> None:
        """Read, check and split the images."""
        names = [name for name in (self.label, self.group) if name is not None]
        if self.path.suffix.lower() == ".npz":
            self._images, facts = read_image_arrays(self.path, self.image, names, self.form)
            self._names = [f"image {number}" for number in range(len(self._images))]
        else:
            paths, found = listed(self.path, self.image, names)
            self._images, kept, self._skipped = read_images(paths, self.form)
            self._names = [shown_path(paths[number], self._root()) for number in kept.tolist()]
            facts = {name: [texts[number] for number in kept.tolist()] for name, texts in found.items()}
        self._groups = () if self.group is None else facts[self.group]
        label = FOLDER if self.path.is_dir() else self.label
        self._label(None if label is None else facts[label], len(self))

    def _root(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    def __len__(self) -> int:
        return len(self._images)

    def _inputs(self, items: Tensor) -> Flow:
        return {"image": self._images[items].float() / 255}

    @property
    def names(self) -> Sequence[str]:
        """Paths within the folder, or numbers."""
        return self._names

    @property
    def groups(self) -> Sequence[str]:
        """Of the column or array `group`."""
        return self._groups

    @property
    def source(self) -> str:
        """What the file or folder is called, how many images there are, and how many were left out."""
        channels, height, width = self._images.shape[1:]
        kind = "grey images" if channels == 1 else "images in colour"
        return f"{self.path.name}: {len(self)} {kind} of {height} x {width} pixels{left_out(self._skipped)}"
