"""Data with classes that training never sees: wrappers, folders, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from contrast_core.data.digits import Digits
from contrast_core.data.images import Images
from contrast_fewshot.data.heldout import HeldOut
from contrast_fewshot.data.imagesets import ImageSets


def paint(path, mode="RGB", size=(12, 9), seed=0):
    """Write a random image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def folders(root, **options):
    """Three classes a split of four images."""
    for split in ("train", "val", "test"):
        for c in range(3):
            for i in range(4):
                paint(root / split / f"{split}-{c}" / f"{i}.png", seed=c, **options)


def tables(root):
    """miniImageNet: all images in one folder."""
    for split in ("train", "val", "test"):
        lines = ["filename,label"]
        for c in range(3):
            for i in range(4):
                paint(root / "images" / f"{split}{c}{i}.jpg")
                lines.append(f"{split}{c}{i}.jpg,{split}-{c}")
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")


def omniglot(root):
    """Alphabets of characters."""
    for part in ("images_background", "images_evaluation"):
        for alphabet in ("A", "B"):
            for i in range(4):
                paint(root / part / f"{alphabet}-{part[7]}" / "character01" / f"{i}.png", mode="L")


def cifar_fs(root):
    """All classes in one folder, splits in text files."""
    for split in ("train", "val", "test"):
        (root / "splits" / "bertinetto").mkdir(parents=True, exist_ok=True)
        (root / "splits" / "bertinetto" / f"{split}.txt").write_text(f"{split}_0\n{split}_1\n")
        for c in range(2):
            for i in range(4):
                paint(root / "data" / f"{split}_{c}" / f"{i}.png")


def cub(root):
    """Every second class to train on."""
    for c in range(8):
        for i in range(4):
            paint(root / "images" / f"{c:03}.bird" / f"{i}.jpg")


@pytest.mark.parametrize(
    ("write", "layout", "train", "test"),
    [
        (folders, "folders", {f"train-{c}" for c in range(3)}, {f"test-{c}" for c in range(3)}),
        (tables, "tables", {f"train-{c}" for c in range(3)}, {f"test-{c}" for c in range(3)}),
        (omniglot, "omniglot", {"A-b/character01", "B-b/character01"}, {"A-e/character01", "B-e/character01"}),
        (cifar_fs, "cifar-fs", {"train_0", "train_1"}, {"test_0", "test_1"}),
        (cub, "cub", {f"{c:03}.bird" for c in (0, 2, 4, 6)}, {"003.bird", "007.bird"}),
    ],
)
def test_layouts_are_read(tmp_path, write, layout, train, test):
    """Training draws the training classes, episodes the test's; images have the size that was asked for."""
    write(tmp_path)
    data = ImageSets(str(tmp_path), layout, size=8, channels=1 if layout == "omniglot" else 3, shown=True)
    data.load()
    for items, classes in ((data.training_items, train), (data.evaluation_items, test)):
        assert {data.classes[c] for c in data.labels[items].tolist()} == classes
        assert len(items) == 4 * len(classes)
    batch = data.batch(data.evaluation_items[:3])
    assert tuple(batch["image"].shape) == (3, 1 if layout == "omniglot" else 3, 8, 8)
    assert 0 <= float(batch["image"].min()) < float(batch["image"].max()) <= 1
    assert torch.equal(batch["label"], data.labels[data.evaluation_items[:3]])
    assert str(tmp_path) in data.source


def test_validation_classes_can_be_evaluated(tmp_path):
    """To choose settings."""
    folders(tmp_path)
    data = ImageSets(str(tmp_path), size=8, evaluate_on="val")
    data.load()
    assert {data.classes[c] for c in data.labels[data.evaluation_items].tolist()} == {"val-0", "val-1", "val-2"}


def read_all(data):
    """Load, and read the images that are trained on."""
    data.load()
    data.batch(data.training_items)


@pytest.mark.parametrize("cut", [0, 40])
def test_a_corrupt_file_is_named_and_only_skipped_if_asked(tmp_path, cut):
    """One that is no image, and one that ends early."""
    folders(tmp_path, size=(60, 60))
    broken = tmp_path / "train" / "train-1" / "2.png"
    broken.write_bytes(broken.read_bytes()[: 2000 if cut else 10])
    data = ImageSets(str(tmp_path), size=8)
    with pytest.raises(ValueError, match=r"2\.png is no image that can be read.*skip_corrupt"):
        read_all(data)
    data = ImageSets(str(tmp_path), size=8, skip_corrupt=True)
    data.load()
    assert len(data.training_items) == 11
    assert "1 files that can't be read were left out" in data.source


def test_grey_and_colour_are_only_converted_if_asked(tmp_path):
    """The file is named."""
    folders(tmp_path)
    paint(tmp_path / "test" / "test-0" / "0.png", mode="L")
    with pytest.raises(ValueError, match=r"0\.png is grey.*convert = true"):
        ImageSets(str(tmp_path), size=8).load()
    data = ImageSets(str(tmp_path), size=8, convert=True)
    data.load()
    grey = data.batch(data.evaluation_items[:1])["image"][0]
    assert torch.equal(grey[0], grey[1])
    with pytest.raises(ValueError, match=r"is colour, but channels = 1"):
        ImageSets(str(tmp_path), size=8, channels=1).load()


def test_wrong_folders_get_a_sentence(tmp_path):
    """None, no folder, another layout, a list of files that are not there or without the columns."""
    with pytest.raises(ValueError, match=r"--set data\.path=FOLDER"):
        ImageSets()
    with pytest.raises(ValueError, match="no folder"):
        ImageSets(str(tmp_path / "nothing")).load()
    with pytest.raises(ValueError, match=r"no images of 'train'.*images_background"):
        ImageSets(str(tmp_path), "omniglot").load()
    tables(tmp_path)
    (tmp_path / "images" / "train00.jpg").unlink()
    with pytest.raises(ValueError, match=r"train00\.jpg, which is listed"):
        ImageSets(str(tmp_path), "tables").load()
    (tmp_path / "train.csv").write_text("file,label\nx,y\n")
    with pytest.raises(ValueError, match="columns filename and label"):
        ImageSets(str(tmp_path), "tables").load()


def characters(path, **changed):
    """Twelve images of four characters in three alphabets."""
    found = {
        "image": np.random.default_rng(0).integers(0, 255, (12, 6, 6), dtype=np.uint8),
        "character": np.arange(12) // 3,
        "alphabet": np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2]),
        **changed,
    }
    np.savez(path, **found)
    return Images(path, label="character", group="alphabet", shown="all")


def test_groups_of_classes_are_held_out(tmp_path):
    """By their names; batches and labels are those of the data inside."""
    data = HeldOut(characters(tmp_path / "a.npz"), ["1", "2"], by="group")
    data.load()
    assert data.training_items.tolist() == list(range(6))
    assert data.evaluation_items.tolist() == list(range(6, 12))
    assert list(data.groups) == ["0"] * 6 + ["1"] * 3 + ["2"] * 3
    batch = data.batch(torch.tensor([7]))
    assert (tuple(batch["image"].shape), batch["label"].tolist()) == ((1, 1, 6, 6), [2])


@pytest.mark.parametrize(
    ("changed", "novel", "word"),
    [
        ({}, ["9"], "no group '9' to hold out, only 0, 1, 2"),
        ({}, ["0", "1", "2"], "nothing is left to train on"),
        ({"alphabet": np.arange(12) % 3}, ["2"], "class '0' is in a group that is held out and in one that is not"),
        ({"alphabet": np.arange(3)}, ["2"], "'alphabet' has shape"),
    ],
)
def test_wrong_groups_get_a_sentence(tmp_path, changed, novel, word):
    """It names the group, the class or the array."""
    with pytest.raises(ValueError, match=word):
        HeldOut(characters(tmp_path / "a.npz", **changed), novel, by="group").load()


def test_data_without_groups_are_refused():
    """The sentence says which have some."""
    with pytest.raises(ValueError, match="no groups; core/images has"):
        HeldOut(Digits(), ["6"], by="group").load()


def test_classes_of_any_data_are_held_out():
    """Training sees no item of a novel class, evaluation no other."""
    data = HeldOut(Digits(shown="all"), ["6", "7"])
    data.load()
    assert set(data.labels[data.evaluation_items].tolist()) == {6, 7}
    assert set(data.labels[data.training_items].tolist()) == set(range(10)) - {6, 7}
    assert len(data.training_items) + len(data.evaluation_items) == len(data) == 1797
    assert "held out: 6, 7" in data.source
    base = HeldOut(Digits(), ["6"], evaluate_on="base")
    base.load()
    assert torch.equal(base.evaluation_items, base.training_items)


@pytest.mark.parametrize(
    ("novel", "word"), [(["six"], "no class 'six'"), ([str(d) for d in range(10)], "nothing is left to train on")]
)
def test_classes_that_are_not_there_are_refused(novel, word):
    """Or all of them."""
    with pytest.raises(ValueError, match=word):
        HeldOut(Digits(), novel).load()
    with pytest.raises(ValueError, match="Name what is held out"):
        HeldOut(Digits(), [])
