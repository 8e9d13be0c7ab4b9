"""Folders of subjects on the disk: pictures, masks and captions, and a sentence where something is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class View(NamedTuple):
    """One picture: its file, its mask's file or None, its caption or None."""

    picture: Path
    mask: Path | None
    caption: str | None


class Subject(NamedTuple):
    """One subject: a name, the word of its class, its views."""

    name: str
    word: str
    views: Sequence[View]


def find_subjects(root: Path) -> list[Subject]:
    """All subjects below a folder, in order of their names.

    A folder with pictures, in itself or in `images`, is a subject. Masks lie in its folder `masks`, under the picture's
    name, with any ending. The class is what `prompts_and_classes.txt` (DreamBench) says, else the name of the folder
    above, below the root (MVImageNet: category/object), else the subject's own name without digits. A caption lies
    beside its picture, with the ending .txt.

    Raises:
        ValueError: if there is no such folder, no subject, a subject with one view, a caption that is empty, or masks
            of some pictures of a subject only.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is no folder.")
    words = _dreambench_classes(root)
    found = []
    for folder in sorted(each for each in [root, *root.rglob("*")] if each.is_dir()):
        if folder.name in ("images", "masks"):
            continue
        pictures = _pictures(folder) or _pictures(folder / "images")
        if not pictures:
            continue
        name = folder.relative_to(root).as_posix()
        above = folder.parent.name if folder.parent != root and folder != root else ""
        word = words.get(folder.name) or above or re.sub(r"[\d_\-]+", " ", folder.name).strip() or "thing"
        masks = {file.stem: file for file in _pictures(folder / "masks")}
        views = [View(file, masks.get(file.stem), _caption(file)) for file in pictures]
        if len(views) < 2:
            raise ValueError(
                f"The subject {name} has one picture, {views[0].picture.name}; a contrast of views needs two or more."
            )
        without = [view.picture.name for view in views if view.mask is None]
        if masks and without:
            raise ValueError(f"The subject {name} has masks, but none for {without[0]}: add it, or remove all.")
        found.append(Subject(name, word.replace("_", " "), views))
    if not found:
        raise ValueError(f"{root} holds no pictures ({', '.join(ENDINGS)}), neither itself nor in folders of subjects.")
    return found


def read_picture(path: Path, size: int, channels: int) -> Tensor:
    """A picture (channels, size, size) uint8: its middle square, resized.

    Raises:
        ValueError: if it can't be read.
    """
    try:
        with Image.open(path) as opened:
            image = opened.convert("L" if channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"{path} can't be read: it is no picture, or broken.") from error
    side = min(image.size)
    left, top = (image.size[0] - side) // 2, (image.size[1] - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(numpy.array(square))
    return pixels[None] if channels == 1 else pixels.movedim(2, 0).contiguous()


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height.

    Raises:
        ValueError: if it can't be read.
    """
    try:
        with Image.open(path) as opened:
            return opened.size
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"{path} can't be read: it is no picture, or broken.") from error


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.is_file())


def _caption(picture: Path) -> str | None:
    file = picture.with_suffix(".txt")
    if not file.is_file():
        return None
    text = " ".join(file.read_text(encoding="utf-8").split())
    if not text:
        raise ValueError(f"{file} is empty: write what the picture shows, or remove the file.")
    return text


def _dreambench_classes(root: Path) -> dict[str, str]:
    """`subject_name, class` lines of DreamBench's prompts_and_classes.txt."""
    file = root / "prompts_and_classes.txt"
    if not file.is_file():
        return {}
    pairs = (line.split(",") for line in file.read_text(encoding="utf-8").splitlines() if line.count(",") == 1)
    return {name.strip(): word.strip() for name, word in pairs if word.strip() and name.strip() != "subject_name"}
