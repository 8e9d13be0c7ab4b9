"""One's own images in two sets: two folders, a table of paths with a column of roles, or arrays of a NumPy file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.data.files import array_of, load_arrays
from contrast_core.data.image_files import Form, listed, read_image_arrays, read_images
from contrast_core.data.labels import ordered
from contrast_core.data.text_files import read_columns
from contrast_core.interfaces import Split
from contrast_medical.data.two_sets import Attribute, TwoSets
from contrast_medical.roles import ROLES, TARGET

PARTS = ("train", "val", "test")


@final
class TwoSetImages(TwoSets):
    """Images with a role each, background or target, and attributes to probe if there are any.

    Args:
        path: a folder with the folders `background` and `target`, each with images or with one folder a class, which
            becomes the attribute `class`, salient; or a .csv or .jsonl table with a column of paths, from its own
            folder on; or an .npz file with an array of images.
        image: the column of paths, or the array of images: uint8, or floating in [0, 1].
        role: the column or array of roles: background or target, or 0 or 1.
        common: columns or arrays of attributes that both sets have; an empty entry is unknown.
        salient: columns or arrays of attributes that only targets have.
        part: the column or array that says of each image whether it is for train, val or test, as for a split by
            patients; left out, images are split at random.
        size: height and width, to which images are resized; left out, all must be alike.
        channels: 1 or 3, to which images are converted; left out, all must be alike.
        skip_corrupt: leave out files that can't be read, and say how many; otherwise the first one is refused.
        validation, test, split_seed: see `TwoSets`.

    Raises:
        ValueError: for options out of range; when loading, for a file that can't be read, images that differ, an
            unknown role or part, or a set that is empty: the sentence names the file or the line's number.
    """

    def __init__(
        self,
        path: Path,
        image: str = "image",
        role: str = "role",
        common: Sequence[str] = (),
        salient: Sequence[str] = (),
        part: str | None = None,
        size: tuple[int, int] | None = None,
        channels: Literal[1, 3] | None = None,
        skip_corrupt: bool = False,
        validation: float = 0.1,
        test: float = 0.2,
        split_seed: int = 0,
    ):
        super().__init__(validation, test, split_seed)
        if size is not None and min(size) < 1:
            raise ValueError(f"size = {list(size)} must be a height and a width of at least one pixel.")
        if both := sorted(set(common) & set(salient)):
            raise ValueError(f"The attribute '{both[0]}' is listed as common and as salient; it can be one of them.")
        self.path, self.image, self.role_column, self.part = path, image, role, part
        self.common, self.salient = tuple(common), tuple(salient)
        self.form = Form(None if size is None else (size[0], size[1]), channels, skip_corrupt)
        self._given: Sequence[str] = ()
        self._skipped: Sequence[str] = ()

    def _read(self) -> tuple[Tensor, Tensor, Mapping[str, Attribute]]:
        if self.path.is_dir():
            return self._read_folder()
        names = [self.role_column, *self.common, *self.salient, *([self.part] if self.part else [])]
        if self.path.suffix.lower() == ".npz":
            images, _ = read_image_arrays(self.path, self.image, None, self.form)
            arrays = load_arrays(self.path, names, self.role_column)
            columns = {name: [str(x) for x in array_of(self.path.name, arrays, name).tolist()] for name in names}
            for name, column in columns.items():
                if len(column) != len(images):
                    raise ValueError(
                        f"{self.path.name}: '{name}' has {len(column)} entries, but there are {len(images)} images."
                    )
        else:
            # Each as if it were the label, which alone may be empty.
            columns = {name: read_columns(self.path, (self.image,), name, ",")[name] for name in names}
            paths = [self.path.parent / file for file in read_columns(self.path, (self.image,), None, ",")[self.image]]
            images, kept, self._skipped = read_images(paths, self.form)
            columns = {name: [column[i] for i in kept.tolist()] for name, column in columns.items()}
        role = torch.tensor(
            [_one_of(ROLES, text, self.path.name, n) for n, text in enumerate(columns[self.role_column])]
        )
        self._given = columns[self.part] if self.part else ()
        attributes = {}
        for name in (*self.common, *self.salient):
            classes, values = ordered(columns[name])
            if name in self.salient:
                values = torch.where(role == TARGET, values, -1)
                classes, values = _used(classes, values)
            attributes[name] = Attribute("common" if name in self.common else "salient", values, classes)
        return images, role, attributes

    def _read_folder(self) -> tuple[Tensor, Tensor, Mapping[str, Attribute]]:
        for name in ROLES:
            if not (self.path / name).is_dir():
                raise ValueError(
                    f"{self.path} has no folder '{name}': it needs the folders background and target, or give a table "
                    "with a column of roles."
                )
        paths, roles, classes = [], [], []
        for number, name in enumerate(ROLES):
            files, labels = listed(self.path / name, self.image, None)
            paths += files
            roles += [number] * len(files)
            classes += labels if labels is not None and number == TARGET else [""] * len(files)
        images, kept, self._skipped = read_images(paths, self.form)
        role = torch.tensor(roles)[kept]
        known, values = ordered([classes[i] for i in kept.tolist()])
        return images, role, {"class": Attribute("salient", values, known)} if len(known) > 1 else {}

    def _parts(self) -> Split:
        if not self._given:
            return super()._parts()
        number = torch.tensor([_one_of(PARTS, text, self.path.name, n) for n, text in enumerate(self._given)])
        return Split(*((number == part).nonzero().squeeze(1) for part in range(3)))

    @property
    def source(self) -> str:
        """The file's name, how many images of each role there are and how many were left out."""
        targets = int(self._role.sum())
        left = f"; {len(self._skipped)} files could not be read and were left out" if self._skipped else ""
        return f"{self.path.name}: {len(self) - targets} background and {targets} target images{left}"


def _one_of(names: Sequence[str], text: str, file: str, number: int) -> int:
    """The number of a name, which may stand there as it is or as its number."""
    wanted = text.strip().lower()
    if wanted in names:
        return names.index(wanted)
    if wanted in [str(n) for n in range(len(names))]:
        return int(wanted)
    raise ValueError(f"{file}: image {number + 1} has the entry '{text}' where only {', '.join(names)} can stand.")


def _used(classes: Sequence[str], values: Tensor) -> tuple[list[str], Tensor]:
    """Only the classes that occur, numbered anew."""
    present = values[values >= 0].unique().tolist()
    place = torch.full((len(classes) + 1,), -1)
    place[torch.tensor(present, dtype=torch.int64)] = torch.arange(len(present))
    return [classes[i] for i in present], torch.where(values >= 0, place[values], -1)
