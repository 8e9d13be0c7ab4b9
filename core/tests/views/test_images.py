"""Random views of images: what each option does, and that it does no more."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast_core.views.image_changes import LUMA, Motion, blurred, cut_out, grey, jittered, moved
from contrast_core.views.images import ImageViews


def images(count: int = 6, channels: int = 3, height: int = 9, width: int = 12) -> torch.Tensor:
    """Images of random pixels."""
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


def test_nothing_asked_for_is_the_identity() -> None:
    """Without options, and always in evaluation mode, a view is the image itself."""
    x = images()
    plain = ImageViews(crop=(1.0, 1.0))
    assert torch.equal(plain({"image": x})["one"], x)
    wild = ImageViews(rotation=90, flip=1, noise=1, solarise=1, cutout=0.5).eval()
    assert all(torch.equal(view, x) for view in wild({"image": x}).values())


def test_a_certain_flip_is_a_flip() -> None:
    """With probability 1 left and right (top and bottom) are exchanged."""
    x = images()
    torch.testing.assert_close(moved(x, Motion((1, 1), (1, 0), 0, 0)), x.flip(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(moved(x, Motion((1, 1), (0, 1), 0, 0)), x.flip(2), rtol=0, atol=1e-5)


def test_a_rotation_keeps_distances_in_oblong_images() -> None:
    """A dot goes round the centre on a circle of pixels, whatever the aspect."""
    x = torch.zeros(64, 1, 41, 61)
    x[:, :, 19:22, 39:42] = 1  # ten pixels to the right of the centre
    turned = moved(x, Motion((1, 1), (0, 0), 180, 0))
    mass = turned.sum((1, 2, 3))
    row = (turned.sum((1, 3)) * torch.arange(41)).sum(1) / mass - 20
    column = (turned.sum((1, 2)) * torch.arange(61)).sum(1) / mass - 30
    torch.testing.assert_close(row.hypot(column), torch.full((64,), 10.0), rtol=0, atol=0.3)
    assert row.abs().max() > 5


def test_a_crop_shows_a_part_of_the_image() -> None:
    """Coordinates in a crop of area a span a share of the image that fits its aspect."""
    ramp = torch.linspace(0, 1, 33).expand(200, 1, 33, 33)
    cropped = moved(ramp, Motion((0.25, 0.25), (0, 0), 0, 0))
    span = (cropped[:, 0, 16, 32] - cropped[:, 0, 16, 0]) / (ramp[:, 0, 16, 32] - ramp[:, 0, 16, 0])
    assert float(span.min()) >= 0.5 * (3 / 4) ** 0.5 - 0.02
    assert float(span.max()) <= 0.5 * (4 / 3) ** 0.5 + 0.02
    assert 0 <= float(cropped.min()) < float(cropped.max()) <= 1


def test_a_scale_enlarges_about_the_centre_and_a_shear_keeps_rows() -> None:
    """A dot's distance from the centre is multiplied; a sheared row stays in its height and moves along x."""
    x = torch.zeros(64, 1, 41, 61)
    x[:, :, 9:12, 29:32] = 1  # ten pixels above the centre
    places = torch.arange(41), torch.arange(61)
    for motion in (Motion((1, 1), (0, 0), scale=0.3), Motion((1, 1), (0, 0), shear=30)):
        torch.manual_seed(0)
        found = moved(x, motion)
        mass = found.sum((1, 2, 3))
        row = (found.sum((1, 3)) * places[0]).sum(1) / mass - 20
        column = (found.sum((1, 2)) * places[1]).sum(1) / mass - 30
        if motion.scale:
            assert float(row.min()) < -11.5
            assert float(row.max()) > -8.5
            assert float(column.abs().max()) < 0.1
        else:
            assert float((row + 10).abs().max()) < 0.1
            assert 4 < float(column.abs().max()) < 10 * math.tan(math.radians(30)) + 0.1


def test_views_of_a_size_are_squares_and_keep_shapes_round() -> None:
    """A crop of an oblong image has the aspect of the square it fills; in evaluation it is the middle."""
    x = images(4, 3, 20, 30)
    view = ImageViews(size=12, crop=(0.2, 1.0), flip=0.5)
    assert tuple(view({"image": x})["two"].shape) == (4, 3, 12, 12)
    assert torch.equal(view.eval()({"image": x})["one"], x[:, :, 4:16, 9:21])
    across = torch.arange(60.0).expand(50, 1, 30, 60) / 60
    down = torch.arange(30.0)[:, None].expand(50, 1, 30, 60) / 60
    spans = []
    for ramp, (row, column) in ((across, (0, 1)), (down, (1, 0))):
        torch.manual_seed(0)
        cut = moved(ramp, Motion((0.1, 0.2), (0, 0), size=15))[:, 0]
        spans.append(cut[:, 7 * column + 7 * row + 7 * row, 7 * row + 14 * column] - cut[:, 7 * column, 7 * row])
    ratio = spans[0] / spans[1]
    assert float(ratio.min()) > 3 / 4 - 0.01
    assert float(ratio.max()) < 4 / 3 + 0.01
    with pytest.raises(ValueError, match="20 x 30 pixels are smaller than size = 24"):
        ImageViews(size=24).eval()({"image": x})


def test_views_are_standardised_in_training_and_evaluation() -> None:
    """Channel by channel, and no part of a checkpoint."""
    x = images()
    mean, deviation = [0.1, 0.2, 0.3], [0.5, 1.0, 2.0]
    view = ImageViews(crop=(1.0, 1.0), mean=mean, deviation=deviation)
    expected = torch.stack([(x[:, c] - mean[c]) / deviation[c] for c in range(3)], 1)
    for found in (view({"image": x}), view.eval()({"image": x})):
        torch.testing.assert_close(found["one"], expected)
    assert not view.state_dict()
    with pytest.raises(ValueError, match="has 1 channels, but mean and deviation are for 3"):
        view({"image": x[:, :1]})


def test_jitter_changes_some_images() -> None:
    """With its probability, the others not at all."""
    x = images(200, 1)
    torch.manual_seed(0)
    found = ImageViews(crop=(1.0, 1.0), brightness=0.5, jitter=0.3)({"image": x})["one"]
    assert 0.2 < float((found != x).any(3).any(2).any(1).float().mean()) < 0.4


def test_grey_is_the_luma() -> None:
    """Every channel is the weighted sum of red, green and blue."""
    x = images(2)
    expected = sum(weight * x[:, channel] for channel, weight in enumerate(LUMA))
    assert torch.allclose(grey(x), torch.as_tensor(expected)[:, None].expand_as(x))
    assert torch.equal(grey(x[:, :1]), x[:, :1])


def test_blur_keeps_the_mean_of_a_constant_and_smooths() -> None:
    """A constant stays; a random image varies less; channels do not mix."""
    flat = torch.full((3, 3, 8, 8), 0.3)
    torch.testing.assert_close(blurred(flat), flat)
    x = images(3)
    x[:, 1] = 0
    soft = blurred(x)
    assert float(soft[:, 1].abs().max()) == 0
    assert float(soft.var()) < float(x.var())


def test_jitter_moves_each_image_by_its_own_factor() -> None:
    """Brightness multiplies; contrast keeps the mean."""
    x = images(40, 1) * 0.4 + 0.3
    factors = (jittered(x, 0.3, 0, 0) / x).flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert float(factors.min()) >= 0.7
    assert len(factors[:, 0].unique()) > 30
    torch.testing.assert_close(jittered(x, 0, 0.4, 0).mean((1, 2, 3)), x.mean((1, 2, 3)))


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.05, 1.0), seed=st.integers(0, 100))
def test_a_cutout_is_one_whole_square(share: float, seed: int) -> None:
    """It has its side in both directions, wherever it lies."""
    torch.manual_seed(seed)
    hole = cut_out(torch.ones(4, 1, 9, 12), share)[:, 0] == 0
    side = max(1, round(share * 9))
    for each in hole:
        assert int(each.any(0).sum()) == int(each.any(1).sum()) == side
        assert int(each.sum()) == side**2


@pytest.mark.parametrize("channels", [1, 3])
def test_everything_at_once_stays_an_image(channels: int) -> None:
    """All options together: the same shape, values in [0, 1], other draws for each view and image."""
    x = images(8, channels)
    everything: dict[str, Any] = {
        "crop": (0.3, 0.9), "flip": 0.5, "vertical_flip": 0.5, "rotation": 20, "shift": 1, "scale": 0.2, "shear": 10,
        "brightness": 0.5,
        "contrast": 0.5, "saturation": 0.5, "greyscale": 0.5, "blur": 0.5, "solarise": 0.5, "cutout": 0.3, "noise": 0.1,
    }  # fmt: skip
    torch.manual_seed(0)
    found = ImageViews(names=("a", "b", "c"), **everything)({"image": x})
    assert list(found) == ["a", "b", "c"]
    assert all(view.shape == x.shape and 0 <= float(view.min()) <= float(view.max()) <= 1 for view in found.values())
    assert not torch.equal(found["a"], found["b"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": ()}, "at least one view"),
        ({"crop": (0.0, 1.0)}, "two shares of the area"),
        ({"flip": 1.5}, "flip = 1.5 must be from 0 to 1"),
        ({"scale": 1.0}, "scale = 1.0 must be from 0 to below 1"),
        ({"shear": 90.0}, "shear = 90.0 from 0 to below 90 degrees"),
        ({"size": 0}, "size = 0 must be at least one pixel"),
        ({"mean": [0.5]}, "a number each"),
        ({"rotation": -1.0}, "rotation = -1.0 must not be negative"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    """The sentence says what is allowed."""
    with pytest.raises(ValueError, match=said):
        ImageViews(**options)


def test_what_is_no_image_is_refused() -> None:
    """Bytes, and tables of numbers."""
    for x in (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, 7), torch.zeros(2, 2, 4, 4)):
        with pytest.raises(ValueError, match="must be floating images"):
            ImageViews()({"image": x})
