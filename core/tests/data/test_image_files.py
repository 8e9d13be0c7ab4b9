"""What data of plugins ask of image files: readers of other endings, and middles cut out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from contrast_core.data.image_files import Form, listed, read_images
from contrast_core.data.images import Images
from contrast_core.data.splits import grouped_split
from contrast_core.data.text_files import read_columns


def numbers(path: Path) -> Any:
    """Reads rows of digits as grey values."""
    if path.stat().st_size == 0:
        raise OSError("it is empty.")
    return np.array([[int(digit) for digit in line] for line in path.read_text().splitlines()], np.uint8)


def test_a_reader_reads_files_of_its_ending(tmp_path: Path) -> None:
    """They are listed, resized and converted as others are; what it says of a broken one is in the sentence."""
    (tmp_path / "a.digits.txt").write_text("12\n34\n")
    Image.new("L", (2, 2), 7).save(tmp_path / "b.png")
    form = Form(None, 3, False, readers={".digits.txt": numbers})
    paths, _ = listed(tmp_path, "image", (), endings=form.readers)
    assert [path.name for path in paths] == ["a.digits.txt", "b.png"]
    found = read_images(paths, form).images
    assert found.shape == (2, 3, 2, 2)
    assert found[0, 1].tolist() == [[1, 2], [3, 4]]
    (tmp_path / "a.digits.txt").write_text("")
    with pytest.raises(ValueError, match=r"a\.digits\.txt can't be read: it is empty\. Mend or remove it"):
        read_images(paths, form)
    assert read_images(paths, form._replace(skip_corrupt=True)).kept.tolist() == [1]


def test_the_middle_is_cut_out_before_resizing(tmp_path: Path) -> None:
    """An image that is smaller is named."""
    pixels = np.zeros((6, 8), np.uint8)
    pixels[2:4, 2:6] = 90
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_images([tmp_path / "a.png"], Form((4, 4), None, False, crop=(2, 4))).images
    assert (found == 90).all()
    with pytest.raises(ValueError, match=r"a\.png has 6 x 8 pixels, too few to cut 7 x 2 out"):
        read_images([tmp_path / "a.png"], Form(None, None, False, crop=(7, 2)))


def test_a_file_elsewhere_has_its_whole_path_as_a_name(tmp_path: Path) -> None:
    """In a table that lists it so."""
    Image.new("L", (2, 2), 7).save(tmp_path / "b.png")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "t.csv").write_text(f"image\n{tmp_path / 'b.png'}\n")
    data = Images(tmp_path / "lists" / "t.csv")
    data.load()
    assert data.names == [str(tmp_path / "b.png")]


def test_columns_of_numbers_may_be_empty_and_nothing_else(tmp_path: Path) -> None:
    """The sentence names line and column."""
    path = tmp_path / "t.jsonl"
    path.write_text('{"t": "a", "n": 1.5}\n{"t": "b", "n": null}\n{"t": "c", "n": "-2e1"}\n')
    assert read_columns(path, ("t",), (), ",", ("n",))["n"] == ["1.5", "", "-2e1"]
    for wrong in ("true", '"many"', "NaN", "[1]"):
        path.write_text(f'{{"t": "a", "n": {wrong}}}\n')
        with pytest.raises(ValueError, match=r"t\.jsonl, line 1: 'n' must be a number or empty"):
            read_columns(path, ("t",), (), ",", ("n",))


def test_rows_of_a_group_fall_into_one_part_and_parts_have_classes_in_proportion() -> None:
    """Of twenty groups with two to four rows, half of them of each class."""
    groups = torch.arange(20).repeat_interleave(torch.arange(20) % 3 + 2)
    groups = groups[torch.randperm(len(groups), generator=torch.Generator().manual_seed(0))]
    split = grouped_split(groups % 2, groups * 7, 0.2, 0.3, 0)
    parts = [{int(group) for group in groups[part]} for part in (split.train, split.val, split.test)]
    assert [len(part) for part in parts] == [10, 4, 6]
    assert set.union(*parts) == set(range(20))
    assert [sum(group % 2 for group in part) for part in parts] == [5, 2, 3]
    assert torch.cat([split.train, split.val, split.test]).sort().values.tolist() == list(range(len(groups)))
