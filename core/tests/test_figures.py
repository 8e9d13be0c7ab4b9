"""Figures: what may be shown, and that the pixels that go in are those that come out."""

from __future__ import annotations

import base64
import io
import json

import pytest
import torch
from PIL import Image

from contrast_core.figures import Cell, Images, Lines, Matrix


@pytest.mark.parametrize("shape", [(3, 5), (1, 3, 5), (3, 3, 5)])
def test_a_png_holds_the_pixels(shape: tuple[int, ...]) -> None:
    """Pillow reads back every pixel, grey and coloured."""
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    described = Cell(image, "a few words").described()
    read = Image.open(io.BytesIO(base64.b64decode(described["png"])))
    expected = image.permute(1, 2, 0) if image.dim() == 3 else image
    expected = expected.squeeze(-1) if expected.shape[-1] == 1 else expected
    pixels = torch.tensor(list(read.tobytes()), dtype=torch.uint8).reshape(expected.shape)
    assert torch.equal(pixels, expected)
    assert (described["height"], described["width"], described["caption"]) == (3, 5, "a few words")


def test_floating_images_are_rounded_to_bytes() -> None:
    """0 is black, 1 is white, a half is between."""
    described = Cell(torch.tensor([[0.0, 0.5, 1.0]])).described()
    assert Image.open(io.BytesIO(base64.b64decode(described["png"]))).tobytes() == bytes([0, 128, 255])


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (torch.zeros(2, 4, 4), r"not \(2, 4, 4\)"),
        (torch.zeros(0, 4), "An image is"),
        (torch.full((2, 2), 1.5), "goes from 1.5 to 1.5"),
        (torch.full((2, 2), float("nan")), "goes from nan"),
        (torch.zeros(2, 2, dtype=torch.int64), "uint8"),
    ],
)
def test_what_is_no_image_is_refused(image: torch.Tensor, sentence: str) -> None:
    """In a sentence with the shape or the range."""
    with pytest.raises(ValueError, match=sentence):
        Cell(image)


def test_figures_that_do_not_fit_are_refused() -> None:
    """Names for every row and column, as many x as y."""
    with pytest.raises(ValueError, match="1 names of rows"):
        Matrix("m", "", torch.zeros(2, 2), ["one"], ["a", "b"])
    with pytest.raises(ValueError, match="The line 'a' has 2 x and 1 y"):
        Lines("l", "", {"a": ([1, 2], [1])})


def test_what_is_kept_is_plain_json() -> None:
    """No NaN, which JSON lacks."""
    matrix = Matrix("m", "", torch.tensor([[1.0, float("nan")]]), ["r"], ["a", "b"])
    lines = Lines("l", "", {"a": ([1, 2], [3.0, float("nan")])}, x="k")
    images = Images("i", "", [[None, Cell(torch.zeros(2, 2))]], columns=["a", "b"])
    kept = json.loads(json.dumps([each.described() for each in (matrix, lines, images)], allow_nan=False))
    assert [each["kind"] for each in kept] == ["matrix", "lines", "images"]
    assert kept[0]["values"] == [[1.0, None]]
    assert kept[1]["lines"] == {"a": [[1.0, 3.0]]}
    assert kept[2]["cells"][0][0] is None
