"""Figures that an evaluator adds to its scores, for the report: grids of images, matrices, lines.

A figure says what is to be seen; how it looks is the report's affair. `described` is what a run folder keeps of it.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from attrs import field, frozen
from torch import Tensor


@final
@frozen(eq=False)
class Cell:
    """One image of a grid.

    Args:
        image: (h, w) or (1, h, w) of grey, or (3, h, w) of red, green and blue; uint8, or floating in [0, 1].
        caption: a few words below it.

    Raises:
        ValueError: if the image has another shape, no pixel, or values out of range.
    """

    image: Tensor
    caption: str = ""

    def __attrs_post_init__(self) -> None:
        shape = tuple(self.image.shape)
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] not in (1, 3)) or not self.image.numel():
            raise ValueError(f"An image is (h, w), (1, h, w) or (3, h, w), not {shape}.")
        if self.image.dtype == torch.uint8:
            return
        if not self.image.is_floating_point():
            raise ValueError(f"An image is uint8, or floating in [0, 1], not {self.image.dtype}.")
        low, high = float(self.image.min()), float(self.image.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"A floating image lies in [0, 1]; this one goes from {low:g} to {high:g}.")

    def described(self) -> dict[str, Any]:
        """The image as a PNG file in base64, its size and its caption."""
        image = self.image.detach().cpu()
        if image.dtype != torch.uint8:
            image = (image.float() * 255).round().to(torch.uint8)
        image = image[None] if image.dim() == 2 else image
        encoded = base64.b64encode(png(image)).decode()
        return {"png": encoded, "caption": self.caption, "height": image.shape[1], "width": image.shape[2]}


@final
@frozen(eq=False)
class Images:
    """A grid of images.

    Args:
        title: what it shows; reading: the sentence that says how to read it.
        cells: the rows of the grid; None leaves a place empty.
        rows, columns: names of rows and of columns, if they have any.
    """

    title: str
    reading: str
    cells: Sequence[Sequence[Cell | None]]
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()

    def described(self) -> dict[str, Any]:
        """What a run folder keeps: JSON."""
        cells = [[cell.described() if cell else None for cell in row] for row in self.cells]
        return {**_head(self), "cells": cells, "rows": list(self.rows), "columns": list(self.columns)}


@final
@frozen(eq=False)
class Matrix:
    """Numbers in rows and columns, shaded by their size.

    Args:
        title: what it shows; reading: the sentence that says how to read it.
        values: (r, c), floating; NaN leaves a place empty.
        rows, columns: r and c names.
        corner: what rows and columns are, as in "after \\ on".

    Raises:
        ValueError: if there are not as many names as rows and columns.
    """

    title: str
    reading: str
    values: Tensor
    rows: Sequence[str]
    columns: Sequence[str]
    corner: str = ""

    def __attrs_post_init__(self) -> None:
        if tuple(self.values.shape) != (len(self.rows), len(self.columns)):
            raise ValueError(
                f"A matrix of shape {tuple(self.values.shape)} has {len(self.rows)} names of rows and "
                f"{len(self.columns)} of columns."
            )

    def described(self) -> dict[str, Any]:
        """What a run folder keeps: JSON."""
        values = [[value if math.isfinite(value) else None for value in row] for row in self.values.tolist()]
        names = {"rows": list(self.rows), "columns": list(self.columns), "corner": self.corner}
        return {**_head(self), "values": values, **names}


@final
@frozen(eq=False)
class Lines:
    """Curves in one plane.

    Args:
        title: what y measures; reading: the sentence that says how to read it.
        lines: by name, x and y of equal length; what is not finite is left out.
        x: what x measures.

    Raises:
        ValueError: if a line has not as many x as y.
    """

    title: str
    reading: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    x: str = field(default="step", kw_only=True)

    def __attrs_post_init__(self) -> None:
        for name, (x, y) in self.lines.items():
            if len(x) != len(y):
                raise ValueError(f"The line '{name}' has {len(x)} x and {len(y)} y.")

    def described(self) -> dict[str, Any]:
        """What a run folder keeps: JSON."""
        finite = {
            name: [[float(a), float(b)] for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b)]
            for name, (x, y) in self.lines.items()
        }
        return {**_head(self), "lines": finite, "x": self.x}


Figure = Images | Matrix | Lines


def _head(figure: Figure) -> dict[str, Any]:
    return {"kind": type(figure).__name__.lower(), "title": figure.title, "reading": figure.reading}


def png(image: Tensor) -> bytes:
    """The bytes of a PNG file (ISO/IEC 15948) of an image (1, h, w) or (3, h, w), uint8."""
    channels, height, width = image.shape
    lines = image.permute(1, 2, 0).reshape(height, width * channels)
    # Each line begins with its filter; 0 is none.
    filtered = torch.cat([lines.new_zeros(height, 1), lines], 1).contiguous().numpy().tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
