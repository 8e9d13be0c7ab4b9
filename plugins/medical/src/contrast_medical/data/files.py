"""One's own images in two groups: two folders, a table of paths with a column of roles, or arrays of a NumPy file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, final

import torch
from torch import Tensor

from contrast_core.data.image_files import FOLDER, Form, left_out, listed, read_image_arrays, read_images, shown_path
from contrast_core.data.labels import ordered
from contrast_core.data.splits import grouped_split, seeded_split
from contrast_core.interfaces import Split
from contrast_medical.data.described import Facts, numbers_of
from contrast_medical.data.grouped import TwoGroups
from contrast_medical.data.scans import AXES, Axis, Plane, readers_of
from contrast_medical.roles import ROLES

PARTS = ("train", "val", "test")


class Read(NamedTuple):
    """Images (n, C, H, W) uint8, what is said of them by column, their names and the files that were left out."""

    images: Tensor
    columns: Mapping[str, Sequence[str]]
    names: Sequence[str]
    skipped: Sequence[str]


@final
class GroupedImages(TwoGroups):
    """Images with a role each, background or target, and attributes to probe if there are any; all held in memory.

    Files are what Pillow reads; DICOM files of one image each, by their window; and NIfTI volumes, of which one slice
    is taken: the plugin learns from images, not from volumes.

    Args:
        path: a folder with the folders `background` and `target`, each with images or with one folder a class, of which
            the target's become the salient attribute `class`; or a .csv or .jsonl table with a column of paths, from
            its own folder on; or an .npz file with an array of images. It has to be given.
        image: the column of paths, or the array of images: uint8, or floating in [0, 1].
        role: the column or array of roles: background or target, or 0 or 1.
        common: columns or arrays of attributes that both groups have; what stands empty is unknown.
        salient: columns or arrays of attributes that only targets have. In an array of classes -1 is unknown.
        numbers: which of these are numbers, as an age is; the others are classes.
        part: the column or array that says whether an image is to train, val or test; left out, that is drawn, with
            both groups and the classes of the first salient attribute in proportion.
        patient: the column or array of whom an image shows: then all images of a patient are in one part.
        size: height and width, to which images are resized; left out, all must be alike.
        channels: 1 or 3, to which images are converted; left out, all must be alike.
        skip_corrupt: leave out files that can't be read, and say how many; otherwise the first one is refused.
        axis: of a NIfTI volume, across which the slice lies.
        slice_at: where, from 0 to 1: from left to right, from the back to the front, or from the bottom to the top.
        percentiles: of a NIfTI volume's values, that become black and white; [0, 100] are its least and greatest.
        validation: fraction of the images, or patients, to choose a probe on.
        test: fraction of the images, or patients, to test a probe on.
        split_seed: of the split.

    Raises:
        ValueError: for options out of range; when loading, for a file that can't be read, images that differ, a missing
            column, an unknown role or part, a patient in two parts, or a group or part that is empty: the sentence
            names the file.
        ContrastError: when loading files without Pillow, pydicom or nibabel, of contrast-medical's extras `images`,
            `dicom` and `nifti`.
    """

    def __init__(
        self,
        path: Path | None = None,
        image: str = "image",
        role: str = "role",
        common: Sequence[str] = (),
        salient: Sequence[str] = (),
        numbers: Sequence[str] = (),
        part: str | None = None,
        patient: str | None = None,
        size: tuple[int, int] | None = None,
        channels: Literal[1, 3] | None = None,
        skip_corrupt: bool = False,
        axis: Axis = "axial",
        slice_at: float = 0.5,
        percentiles: tuple[float, float] = (1.0, 99.0),
        validation: float = 0.1,
        test: float = 0.2,
        split_seed: int = 0,
    ):
        super().__init__(validation, test, split_seed)
        if path is None:
            raise ValueError("These data are read from a folder, a table or an .npz file: --set data.path=PATH.")
        if size is not None and min(size) < 1:
            raise ValueError(f"size = {list(size)} must be a height and a width of at least one pixel.")
        if axis not in AXES or not 0 <= slice_at <= 1 or not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ValueError(
                f"axis = '{axis}' must be one of {', '.join(AXES)}, slice_at = {slice_at} in [0, 1], percentiles = "
                f"{list(percentiles)} two in [0, 100], the lower first."
            )
        self.path, self.image, self.role, self.part, self.patient = path, image, role, part, patient
        self.facts = Facts(tuple(common), tuple(salient), tuple(numbers))
        readers = readers_of(Plane(axis, slice_at, percentiles))
        self.form = Form(size, channels, skip_corrupt, readers=readers)
        self._names: Sequence[str] = ()
        self._skipped: Sequence[str] = ()

    def load(self) -> None:
        """Read the images and what is said of them, and split them."""
        found = self._folders() if self.path.is_dir() else self._table()
        facts = Facts(salient=["class"]) if self.path.is_dir() else self.facts
        roles = numbers_of(list(ROLES), found.columns[self.role], found.names, "role")
        attributes = facts.attributes(found.columns, roles)
        if self.path.is_dir() and len(attributes["class"].classes) < 2:
            attributes = {}
        self._names, self._skipped = found.names, found.skipped
        salient = next((each.values for each in attributes.values() if each.classes and each.space == "salient"), None)
        kinds = roles if salient is None else roles + 1 + salient
        self.take(found.images, roles, attributes, self._split(found, kinds))

    def _table(self) -> Read:
        """A table or arrays."""
        said = [name for name in (self.role, self.part, self.patient) if name is not None]
        facts = list(dict.fromkeys([*said, *self.facts.classes]))
        if self.path.suffix.lower() == ".npz":
            images, columns = read_image_arrays(self.path, self.image, [*facts, *self.facts.numbers], self.form)
            # In arrays of whole numbers -1 stands for what is unknown.
            known = {name: ["" if text == "-1" else text for text in columns[name]] for name in self.facts.classes}
            columns = {**columns, **known}
            return Read(images, columns, [f"{self.path.name}, image {number}" for number in range(len(images))], [])
        paths, columns = listed(self.path, self.image, facts, self.facts.numbers)
        return self._read(paths, columns, self.path.parent)

    def _folders(self) -> Read:
        """A folder for each group."""
        asked = [*self.facts.names, *(name for name in (self.part, self.patient) if name is not None)]
        if asked:
            raise ValueError(f"{self.path} is a folder, which has no '{asked[0]}': list its images in a table with it.")
        paths: list[Path] = []
        columns: dict[str, list[str]] = {self.role: [], "class": []}
        for name in ROLES:
            folder = self.path / name
            if not folder.is_dir():
                raise ValueError(
                    f"{self.path} has no folder '{name}': it needs the folders background and target, or give a table "
                    "with a column of roles."
                )
            files, facts = listed(folder, self.image, (), endings=self.form.readers)
            paths += files
            columns[self.role] += [name] * len(files)
            columns["class"] += facts[FOLDER]
        return self._read(paths, columns, self.path)

    def _read(self, paths: Sequence[Path], columns: Mapping[str, Sequence[str]], root: Path) -> Read:
        images, kept, skipped = read_images(paths, self.form)
        rows = kept.tolist()
        columns = {name: [texts[row] for row in rows] for name, texts in columns.items()}
        return Read(images, columns, [shown_path(paths[row], root) for row in rows], skipped)

    def _split(self, found: Read, kinds: Tensor) -> Split:
        """As the table says, or drawn with every kind of image in proportion."""
        patients = None if self.patient is None else ordered(found.columns[self.patient])[1]
        if patients is not None and bool((patients < 0).any()):
            missing = found.names[int((patients < 0).nonzero()[0])]
            raise ValueError(f"{missing} has no '{self.patient}': each image needs a patient, or leave patient out.")
        if self.part is None:
            fractions = (self.validation, self.test, self.split_seed)
            return seeded_split(kinds, *fractions) if patients is None else grouped_split(kinds, patients, *fractions)
        part = numbers_of(PARTS, found.columns[self.part], found.names, "part")
        for number, name in enumerate(PARTS):
            if name != "val" and not bool((part == number).any()):
                raise ValueError(f"'{self.part}' of {self.path.name} has no image of '{name}', only of others.")
        if patients is not None:
            pairs = torch.stack([patients, part]).unique(dim=1)
            of, times = pairs[0].unique(return_counts=True)
            for patient in of[times > 1][:1]:
                text = found.columns[str(self.patient)][int((patients == patient).nonzero()[0])]
                raise ValueError(
                    f"The patient '{text}' is in two parts: '{self.part}' has to be the same for all images of a "
                    "patient."
                )
        return Split(*((part == number).nonzero().squeeze(1) for number in range(len(PARTS))))

    @property
    def names(self) -> Sequence[str]:
        """Paths within the folder, or numbers."""
        return self._names

    @property
    def source(self) -> str:
        """The file's name, how many images of each role there are and how many were left out."""
        return f"{self.path.name}: {self.counted}{left_out(self._skipped)}"
