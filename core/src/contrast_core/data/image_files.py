"""Reading images from files, and saying which of them is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy
import torch
from torch import Tensor

from contrast_core.data.files import array_of, load_arrays
from contrast_core.data.text_files import read_columns
from contrast_core.errors import ContrastError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
MODES = {1: "L", 3: "RGB"}
GREY = ("1", "L", "LA", "I", "I;16", "F")
"""Pillow's modes of images without colour."""


FOLDER = "folder"
"""The fact about an image in a folder of classes: which one that is."""


Reader = Callable[[Path], Any]
"""Reads an image file that Pillow does not: pixels (H, W) or (H, W, 3) uint8; OSError if they can't be read."""


class Form(NamedTuple):
    """How images have to be.

    size: height and width to which images are resized; None refuses images of different sizes.
    channels: 1 or 3, to which they are converted; None refuses images of different channels.
    skip_corrupt: leave out what can't be read instead of refusing it.
    crop: height and width of the middle that is cut out before resizing; None keeps all.
    readers: what reads files of other endings than Pillow's, by these endings, such as ".nii.gz".
    """

    size: tuple[int, int] | None
    channels: int | None
    skip_corrupt: bool
    crop: tuple[int, int] | None = None
    readers: Mapping[str, Reader] = {}


class Pictures(NamedTuple):
    """Images (n, C, H, W) uint8, which of the files asked for they are, (n,) int64, and those that were left out."""

    images: Tensor
    kept: Tensor
    skipped: list[str]


def read_images(paths: Sequence[Path], form: Form) -> Pictures:
    """All images of the files, in order.

    Raises:
        ContrastError: if Pillow is missing, or what a reader needs.
        ValueError: if a file is no readable image or smaller than what `form` cuts out, or they differ in size or
            channels and `form` does not say which to convert to; the sentence names the file.
    """
    images: list[Tensor] = []
    kept: list[int] = []
    skipped: list[str] = []
    for number, path in enumerate(paths):
        try:
            image = read_image(path, form)
        except OSError as error:
            if not form.skip_corrupt:
                reason = "it is no image or broken"
                if isinstance(error, FileNotFoundError):
                    reason = "there is no such file"
                elif _reader(path, form) is not None and str(error):
                    reason = " ".join(str(error).split()).rstrip(".")
                raise ValueError(
                    f"{path} can't be read: {reason}. Mend or remove it, or set skip_corrupt = true."
                ) from error
            skipped.append(str(path))
            continue
        if images and image.shape != images[0].shape:
            raise ValueError(_differs(path, image, paths[kept[0]], images[0]))
        images.append(image)
        kept.append(number)
    if not images:
        raise ValueError(f"None of {len(paths)} files is an image that can be read.")
    return Pictures(torch.stack(images), torch.tensor(kept), skipped)


def read_image(path: Path, form: Form) -> Tensor:
    """One image, (C, H, W) uint8.

    Raises:
        OSError: if it can't be read.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ContrastError("Reading image files needs Pillow: pip install contrast-core[images].") from error
    reader = _reader(path, form)
    try:
        with Image.open(path) if reader is None else Image.fromarray(reader(path)) as opened:
            mode = MODES[form.channels or (1 if opened.mode in GREY else 3)]
            image: Picture = opened.convert(mode)
    except (UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(str(error)) from error
    if form.crop is not None:
        image = _middle(path, image, form.crop)
    if form.size is not None and image.size != form.size[::-1]:
        image = image.resize(form.size[::-1], Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(numpy.array(image))
    return pixels[None] if pixels.dim() == 2 else pixels.movedim(2, 0).contiguous()


def _reader(path: Path, form: Form) -> Reader | None:
    return next((read for ending, read in form.readers.items() if path.name.lower().endswith(ending)), None)


def _middle(path: Path, image: Picture, crop: tuple[int, int]) -> Picture:
    (width, height), (down, across) = image.size, crop
    if height < down or width < across:
        raise ValueError(f"{path} has {height} x {width} pixels, too few to cut {down} x {across} out of them.")
    top, left = (height - down) // 2, (width - across) // 2
    return image.crop((left, top, left + across, top + down))


def _differs(path: Path, image: Tensor, first: Path, expected: Tensor) -> str:
    if image.shape[0] != expected.shape[0]:
        kinds = {1: "grey", 3: "in colour"}
        return (
            f"{path} is {kinds[image.shape[0]]}, but {first} is {kinds[expected.shape[0]]}: "
            "set channels = 1 or channels = 3 to convert all."
        )
    return (
        f"{path} has {image.shape[1]} x {image.shape[2]} pixels, but {first} has {expected.shape[1]} x "
        f"{expected.shape[2]}: set size = [height, width] to resize all."
    )


def listed(
    path: Path, column: str, facts: Sequence[str], numbers: Sequence[str] = (), endings: Iterable[str] = ()
) -> tuple[list[Path], Mapping[str, list[str]]]:
    """Files, and facts about them by name, "" where unknown: of a table with a column of paths; or of a folder with one
    folder a class, which is the one fact about it, or with images alone.

    Args:
        path: the folder or the table.
        column: of the paths, from the table's own folder on.
        facts: columns of texts or whole numbers.
        numbers: columns of numbers, which are facts too.
        endings: of files in a folder that are images beside those that Pillow reads.

    Raises:
        ValueError: if there is no such folder or table, or no image in it.
    """
    if path.is_dir():
        folders = sorted(each for each in path.iterdir() if each.is_dir())
        known = (*ENDINGS, *endings)
        found = [(file, folder.name) for folder in folders for file in _images_in(folder, known)]
        # A folder of images alone: the evaluation is told that there are no labels.
        found = found or [(file, "") for file in _images_in(path, known)]
        if not found:
            raise ValueError(f"{path} holds no images, neither itself nor in a folder a class ({', '.join(known)}).")
        return [file for file, _ in found], {FOLDER: [name for _, name in found]}
    if not path.exists():
        raise ValueError(f"There is no folder and no table {path}.")
    columns = read_columns(path, (column,), facts, ",", numbers)
    return [path.parent / file for file in columns[column]], columns


def shown_path(path: Path, root: Path) -> str:
    """What a file is called: its path within the folder, or the whole path if it lies elsewhere."""
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def left_out(skipped: Sequence[str]) -> str:
    """What a data set's source says at its end of files that were skipped, "" if there are none."""
    return f"; {len(skipped)} files could not be read and were left out" if skipped else ""


def _images_in(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.name.lower().endswith(endings) and file.is_file())


def read_image_arrays(
    path: Path, images: str, facts: Sequence[str], form: Form
) -> tuple[Tensor, Mapping[str, list[str]]]:
    """Images (n, C, H, W) uint8 and facts about them, of the arrays of a .npz file; nothing pickled is loaded.

    Raises:
        ValueError: if it can't be read, has no such array, or the arrays' shapes or values are wrong.
    """
    arrays = load_arrays(path, (images, *facts), images)
    found = _as_images(path.name, images, array_of(path.name, arrays, images))
    if form.channels is not None and found.shape[1] != form.channels:
        weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        if form.channels == 1:
            found = (found * weights).sum(1, keepdim=True).round().to(torch.uint8)
        else:
            found = found.expand(-1, 3, -1, -1).contiguous()
    if form.size is not None and tuple(found.shape[2:]) != form.size:
        resized = torch.nn.functional.interpolate(found.float(), form.size, mode="bilinear", antialias=True)
        found = resized.round().clamp(0, 255).to(torch.uint8)
    texts: dict[str, list[str]] = {}
    for name in facts:
        values = array_of(path.name, arrays, name)
        if values.shape != (len(found),):
            raise ValueError(f"{path.name}: '{name}' has shape {values.shape}, but there are {len(found)} images.")
        texts[name] = [str(value) for value in values.tolist()]
    return found, texts


def _as_images(file: str, name: str, array: Any) -> Tensor:
    pixels = torch.from_numpy(array) if array.dtype.kind in "uif" else None
    if pixels is not None and pixels.is_floating_point():
        low, high = (float(pixels.min()), float(pixels.max())) if pixels.numel() else (0.0, 0.0)
        if not (low >= 0 and high <= 1):
            raise ValueError(f"{file}: floating images lie in [0, 1]; '{name}' goes from {low:g} to {high:g}.")
        pixels = (pixels * 255).round().to(torch.uint8)
    if pixels is None or pixels.dtype != torch.uint8 or pixels.dim() not in (3, 4) or not pixels.numel():
        raise ValueError(
            f"{file}: '{name}' must be uint8 or floating images (n, h, w), (n, c, h, w) or (n, h, w, c), "
            f"not {array.dtype} {array.shape}."
        )
    if pixels.dim() == 3:
        return pixels[:, None]
    if pixels.shape[1] in (1, 3):
        return pixels
    if pixels.shape[3] in (1, 3):
        return pixels.movedim(3, 1).contiguous()
    raise ValueError(f"{file}: '{name}' must have one or three channels, not shape {array.shape}.")
