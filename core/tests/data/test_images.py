"""One's own images, and what is said when they are wrong."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from contrast_core import runs
from contrast_core.data.images import Images
from contrast_core.errors import ContrastError


def written(path: Path, value: int = 100, size: tuple[int, int] = (6, 4), mode: str = "L") -> Path:
    """An image of one value; size is width and height, as Pillow has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of three images each."""
    for name in ("cat", "dog"):
        for number in range(3):
            written(tmp_path / "all" / name / f"{number}.png", 50 * number)
    return tmp_path / "all"


def loaded(path: Path, **options: Any) -> Images:
    """The data, read."""
    data = Images(path, **options)
    data.load()
    return data


def test_a_folder_a_class(folder: Path) -> None:
    """Names, classes and pixels in order."""
    data = loaded(folder, shown="all")
    assert list(data.names)[:2] == ["cat/0.png", "cat/1.png"]
    assert list(data.classes) == ["cat", "dog"]
    batch = data.batch(torch.tensor([4, 0]))
    assert batch["image"].shape == (2, 1, 4, 6)
    torch.testing.assert_close(batch["image"][0], torch.full((1, 4, 6), 50 / 255))
    assert batch["label"].tolist() == [1, 0]
    assert data.source == "all: 6 grey images of 4 x 6 pixels"


def test_a_table_of_paths(folder: Path) -> None:
    """Paths go from the table's own folder; an empty label is unknown."""
    table = folder / "t.csv"
    table.write_text("file,kind\ncat/0.png,a\ndog/2.png,\n")
    data = loaded(table, image="file", label="kind", test=0.0, validation=0.0)
    assert data.labels is not None
    assert data.labels.tolist() == [0, -1]
    assert list(data.names) == ["cat/0.png", "dog/2.png"]


def test_groups_come_beside_labels(folder: Path, tmp_path: Path) -> None:
    """From a column or an array; items that can't be read leave theirs out, and a folder has none."""
    table = folder / "t.csv"
    (folder / "broken.png").write_text("no image")
    table.write_text("image,kind,site\ncat/0.png,a,north\nbroken.png,a,east\ndog/2.png,b,\n")
    data = loaded(table, label="kind", group="site", skip_corrupt=True, test=0.0, validation=0.0)
    assert list(data.groups) == ["north", ""]
    assert list(loaded(table, label="kind", skip_corrupt=True).groups) == []
    np.savez(tmp_path / "a.npz", image=np.zeros((3, 4, 4), dtype=np.uint8), site=np.array([2, 0, 2]))
    data = loaded(tmp_path / "a.npz", group="site")
    assert list(data.groups) == ["2", "0", "2"]
    assert data.labels is None
    with pytest.raises(ValueError, match="is a folder, which has no groups: list its images in a table with 'site'"):
        Images(folder, group="site")


@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 1, 4, 6), (5, 4, 6, 3), (5, 3, 4, 6)])
def test_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Grey or colour, channels first or last."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=pixels, y=np.arange(5) % 2)
    data = loaded(tmp_path / "a.npz", image="x", label="y", shown="all")
    batch = data.batch(torch.arange(5))
    channels = 3 if 3 in shape else 1
    assert batch["image"].shape == (5, channels, 4, 6)
    expected = pixels[:, None] if pixels.ndim == 3 else pixels if shape[1] in (1, 3) else pixels.transpose(0, 3, 1, 2)
    assert np.array_equal((batch["image"] * 255).round().numpy(), expected)
    assert batch["label"].tolist() == [0, 1, 0, 1, 0]


def test_sizes_and_channels_are_converted_only_if_stated(folder: Path, tmp_path: Path) -> None:
    """Otherwise the sentence names both files and the option."""
    written(folder / "dog" / "large.png", size=(8, 8))
    with pytest.raises(ValueError, match=r"large.png has 8 x 8 pixels, but .*0.png has 4 x 6: set size"):
        loaded(folder)
    assert loaded(folder, size=(5, 5)).batch(torch.arange(7))["image"].shape == (7, 1, 5, 5)
    written(folder / "dog" / "red.png", 200, mode="RGB")
    with pytest.raises(ValueError, match=r"red.png is in colour, but .*0.png is grey: set channels"):
        loaded(folder, size=(5, 5))
    assert loaded(folder, size=(5, 5), channels=3).batch(torch.arange(8))["image"].shape == (8, 3, 5, 5)
    grey = loaded(folder, size=(5, 5), channels=1).batch(torch.tensor([7]))["image"]
    torch.testing.assert_close(grey, torch.full_like(grey, 200 * 0.299 / 255), rtol=0, atol=2 / 255)


def test_corrupt_files_are_named_and_skipped_only_if_asked(folder: Path) -> None:
    """A cut file and one that is no image at all."""
    whole = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(whole).save(folder / "dog" / "cut.png")
    content = (folder / "dog" / "cut.png").read_bytes()
    (folder / "dog" / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut.png can't be read: it is no image or broken"):
        loaded(folder)
    (folder / "cat" / "text.jpg").write_text("no image")
    data = loaded(folder, skip_corrupt=True)
    assert len(data) == 6
    assert data.source.endswith("2 files could not be read and were left out")


def test_missing_files_columns_and_arrays(folder: Path, tmp_path: Path) -> None:
    """What is missing is named."""
    (folder / "t.csv").write_text("image\ncat/9.png\n")
    with pytest.raises(ValueError, match=r"9.png can't be read: there is no such file"):
        loaded(folder / "t.csv")
    with pytest.raises(ValueError, match=r"There is no folder and no table .*nowhere\."):
        Images(tmp_path / "nowhere").load()
    with pytest.raises(ValueError, match=r"none.npz can't be read: there is no such file"):
        loaded(tmp_path / "none.npz")
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a.npz has no array 'image'. Did you mean images"):
        loaded(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", image=np.full((2, 3, 3), 7.0))
    with pytest.raises(ValueError, match=r"floating images lie in \[0, 1\]"):
        loaded(tmp_path / "b.npz")
    whole = (tmp_path / "b.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half\.npz can't be read as a NumPy file"):
        loaded(tmp_path / "half.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        loaded(tmp_path / "empty")


def test_without_pillow_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files need it; arrays do not."""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "PIL" or name.startswith("PIL."):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ContrastError, match=r"pip install contrast-core\[images\]"):
        loaded(folder)


def test_the_recipe_trains_on_a_folder(tmp_path: Path) -> None:
    """core/images-simclr, one epoch of small colour images."""
    rng = np.random.default_rng(0)
    for number in range(16):
        path = tmp_path / "images" / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    settings = {
        "data.path": tmp_path / "images", "training.epochs": 1, "training.batch_size": 8, "encoder.widths": [8, 16],
        "training.device": "cpu", "training.threads": 1, "training.tensorboard": "off",
    }  # fmt: skip
    result = runs.run("core/images-simclr", set=settings, out=tmp_path / "run")
    assert (result.folder / "report.html").is_file()
