"""Composites and planted opacities: who is drawn where, and what is wrong with the files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrast_medical.data.composites import Composites
from contrast_medical.data.opacities import PLACES, PlantedOpacities
from contrast_medical.data.planted import MARKS


def file(path, count, shape, value=None):
    """Images that each hold one value, the image's number unless given, and three classes."""
    images = np.zeros((count, *shape), np.uint8)
    images += np.arange(count, dtype=np.uint8).reshape(-1, *[1] * len(shape)) if value is None else np.uint8(value)
    np.savez(path, images=images, labels=np.arange(count) % 3)
    return str(path)


def loaded(data):
    """The data, read."""
    data.load()
    return data


@pytest.fixture
def two(tmp_path):
    """Forty photographs and thirty smaller overlays."""
    return file(tmp_path / "photos.npz", 40, (10, 8)), file(tmp_path / "overlays.npz", 30, (4, 4), 200)


def test_composites_are_means_of_a_photograph_and_an_overlay(two):
    """In the middle of targets only; a target has the classes of both, a background image none of the overlay's."""
    data = loaded(Composites(*two, train_counts=(12, 10), test_counts=(3, 5), overlay="digit"))
    assert data.roles.bincount().tolist() == [15, 15]
    for image, role, photo, digit in zip(
        data.images, data.roles, data.attributes["photo"].values, data.attributes["digit"].values, strict=True
    ):
        corner, middle = int(image[0, 0, 0]), int(image[0, 5, 4])
        assert middle == corner + 100 * int(role)
        assert (image == corner).sum() == (64 if role else 80)
        assert (digit >= 0) == (role == 1)
        assert photo in (corner * 2 % 3, (corner * 2 + 1) % 3, (corner * 2 - 1) % 3)
    classes = data.attributes["photo"].values.tolist(), data.attributes["digit"].values.tolist()
    assert data.names == [f"{one}, {two}" if two >= 0 else f"{one}" for one, two in zip(*classes, strict=True)]
    assert [data.attributes[name].space for name in ("photo", "digit")] == ["common", "salient"]


def test_photographs_are_repeated_only_after_all_and_never_across_parts(tmp_path, two):
    """Twelve test images of eight photographs: every one is used, none of them is trained on."""
    photos = file(tmp_path / "even.npz", 80, (6, 6))
    data = loaded(Composites(photos, two[1], train_counts=(70, 50), test_counts=(7, 5), test=0.1))
    corner = data.images[:, 0, 0, 0] * 2
    test = set(corner[data.splits["all"].test].tolist())
    split = data.splits["all"]
    assert [len(part) for part in (split.train, split.val, split.test)] == [106, 14, 12]
    assert len(test) >= 7
    assert [int(data.roles[part].sum()) for part in (split.train, split.val, split.test)] == [44, 6, 5]


def test_grey_overlays_take_the_photographs_channels_and_colour_ones_are_refused(tmp_path, two):
    """Until a conversion is chosen; overlays that are larger say how to enlarge the photographs."""
    colour = file(tmp_path / "colour.npz", 30, (4, 4, 3), 90)
    small = {"train_counts": (9, 9), "test_counts": (3, 3)}
    assert loaded(Composites(colour, two[1], **small)).images.shape == (24, 3, 4, 4)
    with pytest.raises(ValueError, match=r"in colour, but the photographs of .* are grey: set channels = 1"):
        loaded(Composites(two[0], colour, **small))
    assert loaded(Composites(two[0], colour, channels=3, **small)).images.shape[1] == 3
    with pytest.raises(ValueError, match=r"4 x 4 pixels, more than the photographs' 3 x 3: set size"):
        loaded(Composites(file(tmp_path / "tiny.npz", 30, (3, 3)), two[1], **small))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overlays": None}, "--set data.overlays=FILE"),
        ({"train_counts": (3, 0)}, "at least 1 of each"),
        ({"photo": "digit", "overlay": "digit"}, "both called 'digit'"),
        ({"test": 0.0}, "more than 0"),
    ],
)
def test_composites_out_of_range_are_refused(two, options, words):
    """Before anything is read."""
    with pytest.raises(ValueError, match=words):
        Composites(**{"photos": two[0], "overlays": two[1], **options})


def test_too_few_overlays_are_refused(tmp_path, two):
    """Three can't give a part to choose on."""
    with pytest.raises(ValueError, match="40 photographs and 3 overlays are too few"):
        loaded(Composites(two[0], file(tmp_path / "few.npz", 3, (4, 4))))


def test_opacities_brighten_the_quarter_they_are_said_to_be_in(tmp_path):
    """Background images stay as they are; the brightest part of a target lies in its place."""
    path = file(tmp_path / "films.npz", 60, (40, 40), 50)
    data = loaded(PlantedOpacities(path, label="labels", strength=0.4, copies=2))
    assert data.roles.sum() == 60
    assert bool((data.images[data.roles == 0] == 50).all())
    assert data.images.max() == 152
    mark, place = data.attributes["mark"].values, data.attributes["place"].values
    for image, kind, quarter in zip(data.images, mark.tolist(), place.tolist(), strict=True):
        if quarter >= 0:
            extra = (image[0].float() - 50).clamp(min=0)
            quarters = extra.reshape(2, 20, 2, 20).sum((1, 3)).flatten()
            assert int(quarters.argmax()) == quarter
            assert kind in range(len(MARKS))
    assert torch.equal(mark >= 0, data.roles == 1)
    assert list(data.attributes["place"].classes) == list(PLACES)
    one = len(data) // 2
    assert not set((data.training_items % one).tolist()) & set((data.splits["all"].test % one).tolist())


def test_only_the_chosen_classes_are_planted_into(tmp_path):
    """One class alone is no attribute; a class that does not occur is named."""
    path = file(tmp_path / "films.npz", 60, (20, 20))
    data = loaded(PlantedOpacities(path, label="labels", only=["0"]))
    assert len(data) == 20
    assert list(data.attributes) == ["mark", "place"]
    with pytest.raises(ValueError, match=r"has no class 'normal'\. It has 0, 1, 2"):
        loaded(PlantedOpacities(path, label="labels", only=["normal"]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": None}, "--set data.path=FILE"),
        ({"radius": 0.5}, r"radius = 0.5 in \(0, 0.25\]"),
        ({"only": ["a"]}, "say in label"),
    ],
)
def test_opacities_out_of_range_are_refused(options, words):
    """Before anything is read."""
    with pytest.raises(ValueError, match=words):
        PlantedOpacities(**{"path": "films.npz", **options})
