"""How the image sets of few-shot learning lie on a disk, and their splits into classes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}
SPLITS = ("train", "val", "test")


class Listed(NamedTuple):
    """One image file: the split of its class, the class, the file."""

    split: str
    label: str
    path: Path


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _of_classes(folder: Path, split: str, levels: int = 1) -> Iterable[Listed]:
    """Images of class folders, or of class folders in folders of groups."""
    for path in sorted(folder.glob("/".join("*" * levels))):
        if path.is_dir():
            name = "/".join(path.relative_to(folder).parts)
            yield from (Listed(split, name, image) for image in _images(path))


def _folders(root: Path) -> Iterable[Listed]:
    for split in SPLITS:
        yield from _of_classes(root / split, split)


def _tables(root: Path) -> Iterable[Listed]:
    for split in SPLITS:
        file = root / f"{split}.csv"
        if not file.is_file():
            continue
        with file.open(newline="", encoding="utf-8") as lines:
            table = csv.DictReader(lines)
            if not {"filename", "label"} <= set(table.fieldnames or ()):
                raise ValueError(f"{file} needs columns filename and label; it has {table.fieldnames}.")
            yield from (Listed(split, row["label"], root / "images" / row["filename"]) for row in table)


def _omniglot(root: Path) -> Iterable[Listed]:
    yield from _of_classes(root / "images_background", "train", levels=2)
    yield from _of_classes(root / "images_evaluation", "test", levels=2)


def _cifar_fs(root: Path) -> Iterable[Listed]:
    for split in SPLITS:
        file = root / "splits" / "bertinetto" / f"{split}.txt"
        for name in file.read_text(encoding="utf-8").split() if file.is_file() else ():
            yield from (Listed(split, name, image) for image in _images(root / "data" / name))


def _cub(root: Path) -> Iterable[Listed]:
    # Chen et al., A Closer Look at Few-shot Classification, ICLR 2019: of the sorted classes every second is trained
    # on, the others are in turn for validation and test.
    names = sorted(path.name for path in (root / "images").glob("*") if path.is_dir())
    for number, name in enumerate(names):
        split = "train" if number % 2 == 0 else "val" if number % 4 == 1 else "test"
        yield from (Listed(split, name, image) for image in _images(root / "images" / name))


class Layout(NamedTuple):
    """A function that lists a folder, and the sentence that says what it looks for."""

    listing: Callable[[Path], Iterable[Listed]]
    wanted: str


LAYOUTS: Mapping[str, Layout] = {
    "folders": Layout(_folders, "folders train, val, test of class folders (tieredImageNet, FC100, exports of others)"),
    "tables": Layout(
        _tables, "a folder images and train.csv, val.csv, test.csv with filename and label (miniImageNet)"
    ),
    "omniglot": Layout(_omniglot, "folders images_background and images_evaluation of alphabets of characters"),
    "cifar-fs": Layout(_cifar_fs, "a folder data of class folders, and splits/bertinetto/train.txt, val.txt, test.txt"),
    "cub": Layout(_cub, "a folder images of class folders, split as Chen et al. do"),
}
