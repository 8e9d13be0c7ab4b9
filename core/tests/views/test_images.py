"""Random views of images: what each option does, and that it does no more."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast_core.views.image_changes import LUMA, blurred, cut_out, grey, jittered, moved
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
    torch.testing.assert_close(moved(x, (1, 1), (1, 0), 0, 0), x.flip(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(moved(x, (1, 1), (0, 1), 0, 0), x.flip(2), rtol=0, atol=1e-5)


def test_a_rotation_keeps_distances_in_oblong_images() -> None:
    """A dot goes round the centre on a circle of pixels, whatever the aspect."""
    x = torch.zeros(64, 1, 41, 61)
    x[:, :, 19:22, 39:42] = 1  # ten pixels to the right of the centre
    turned = moved(x, (1, 1), (0, 0), 180, 0)
    mass = turned.sum((1, 2, 3))
    row = (turned.sum((1, 3)) * torch.arange(41)).sum(1) / mass - 20
    column = (turned.sum((1, 2)) * torch.arange(61)).sum(1) / mass - 30
    torch.testing.assert_close(row.hypot(column), torch.full((64,), 10.0), rtol=0, atol=0.3)
    assert row.abs().max() > 5


def test_a_crop_shows_a_part_of_the_image() -> None:
    """Coordinates in a crop of area a span a share of the image that fits its aspect."""
    ramp = torch.linspace(0, 1, 33).expand(200, 1, 33, 33)
    cropped = moved(ramp, (0.25, 0.25), (0, 0), 0, 0)
    span = (cropped[:, 0, 16, 32] - cropped[:, 0, 16, 0]) / (ramp[:, 0, 16, 32] - ramp[:, 0, 16, 0])
    assert float(span.min()) >= 0.5 * (3 / 4) ** 0.5 - 0.02
    assert float(span.max()) <= 0.5 * (4 / 3) ** 0.5 + 0.02
    assert 0 <= float(cropped.min()) < float(cropped.max()) <= 1


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
        "crop": (0.3, 0.9), "flip": 0.5, "vertical_flip": 0.5, "rotation": 20, "shift": 1, "brightness": 0.5,
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
