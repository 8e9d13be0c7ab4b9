"""Images in two sets: planted ones, folders, tables and arrays, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from contrast_medical.data.files import TwoSetImages
from contrast_medical.data.planted import Planted


def paint(path, mode="L", size=(10, 8)):
    """Write a random image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)).save(path)


@pytest.fixture
def table(tmp_path):
    """Twelve images in a table, two thirds targets."""
    lines = ["image,role,eye,disease,part"]
    for i in range(12):
        paint(tmp_path / "images" / f"{i}.png")
        role = "target" if i % 3 else "background"
        disease = ["", "glaucoma", "myopia"][i % 3]
        lines.append(f"images/{i}.png,{role},{'left' if i % 2 else 'right'},{disease},{'train' if i < 8 else 'test'}")
    path = tmp_path / "list.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def loaded(path, **options):
    """Two-set images, read."""
    data = TwoSetImages(path, **options)
    data.load()
    return data


def test_copies_of_a_planted_image_lie_in_one_part():
    """No test image's original is trained on, and only targets have a kind."""
    data = Planted(copies=2)
    data.load()
    one = len(data) // 2
    assert not set((data.training_items % one).tolist()) & set((data.splits["all"].test % one).tolist())
    kind = data.attributes["kind"].values
    assert torch.equal(kind >= 0, data.labels == 1)


def test_a_table_gives_roles_attributes_and_parts(table):
    """Salient attributes are those of targets; the parts are the table's."""
    data = loaded(table, common=["eye"], salient=["disease"], part="part")
    assert data.labels.tolist() == [0, 1, 1] * 4
    assert data.attributes["disease"].classes == ["glaucoma", "myopia"]
    assert data.attributes["disease"].values.tolist() == [-1, 0, 1] * 4
    assert data.training_items.tolist() == list(range(8))
    assert data.splits["all"].test.tolist() == [8, 9, 10, 11]


def test_two_folders_are_two_sets_and_classes_of_targets_an_attribute(tmp_path):
    """A folder a class below the target's."""
    for i in range(5):
        paint(tmp_path / "background" / f"{i}.png")
        for name in ("edema", "effusion"):
            paint(tmp_path / "target" / name / f"{i}.png")
    data = loaded(tmp_path)
    assert data.labels.bincount().tolist() == [5, 10]
    assert data.attributes["class"].classes == ["edema", "effusion"]
    assert "5 background and 10 target images" in data.source


@pytest.mark.parametrize(
    ("keep", "words"), [("background", "All 4 images are background"), ("target", "All 8 images are target")]
)
def test_one_set_alone_is_refused(table, keep, words):
    """Background only, and an empty background."""
    header, *lines = table.read_text().splitlines()
    table.write_text("\n".join([header, *(line for line in lines if f",{keep}," in line)]))
    with pytest.raises(ValueError, match=words):
        loaded(table)


def test_a_role_that_is_neither_is_named(table):
    """With the image's number and what can stand there."""
    table.write_text(table.read_text().replace("target", "patient", 1))
    with pytest.raises(ValueError, match=r"image 2 has the entry 'patient' where only background, target can stand"):
        loaded(table)


def test_a_corrupt_file_is_named_and_left_out_only_if_asked(table):
    """The other images keep their roles and attributes."""
    (table.parent / "images" / "4.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"4\.png can't be read"):
        loaded(table)
    data = loaded(table, salient=["disease"], skip_corrupt=True)
    assert len(data) == 11
    assert data.labels.tolist() == [0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1]
    assert "1 files could not be read" in data.source


def test_grey_beside_colour_is_refused_until_a_conversion_is_chosen(table):
    """The sentence names both files and the option."""
    paint(table.parent / "images" / "3.png", mode="RGB")
    with pytest.raises(ValueError, match="set channels = 1 or channels = 3"):
        loaded(table)
    assert loaded(table, channels=1).batch(torch.arange(2))["image"].shape == (2, 1, 8, 10)


def test_arrays_of_another_length_are_refused(tmp_path):
    """The sentence names the array."""
    np.savez(tmp_path / "a.npz", image=np.zeros((4, 6, 6), np.uint8), role=np.array([0, 1, 1]))
    with pytest.raises(ValueError, match="'role' has 3 entries, but there are 4 images"):
        loaded(tmp_path / "a.npz")
