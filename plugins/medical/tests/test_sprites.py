"""Digits with sprites: what is drawn is what the attributes say."""

from __future__ import annotations

import pytest
import torch

from contrast_medical.data.sprites import FACTS, Sprites, sprites


def drawn(**given):
    """One square of scale 0.8 in the middle, unless said otherwise, in 64 pixels."""
    facts = {"shape": 0, "scale": 0.8, "orientation": 0.0, "x": 0.5, "y": 0.5, **given}
    return sprites(*(torch.tensor([facts[name]]) for name in FACTS), 64)[0, 0]


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (1.0, 0.25), (0.5, 1.0)])
@pytest.mark.parametrize("shape", [0, 1])
def test_a_sprite_lies_where_its_attributes_say(shape, x, y):
    """Its centre of mass, in pixels."""
    image = drawn(shape=shape, x=x, y=y)
    place = torch.arange(64) + 0.5
    across, down = ((image.sum(axis) * place).sum() / image.sum() for axis in (0, 1))
    assert float(across) == pytest.approx(64 * (0.25 + 0.5 * x), abs=0.3)
    assert float(down) == pytest.approx(64 * (0.25 + 0.5 * y), abs=0.3)


@pytest.mark.parametrize("shape", [0, 1, 2])
def test_a_sprite_of_half_the_scale_has_a_quarter_of_the_area(shape):
    """All three shapes."""
    assert float(drawn(shape=shape, scale=1.0).sum() / drawn(shape=shape, scale=0.5).sum()) == pytest.approx(4, rel=0.1)


def test_a_turned_square_is_wider():
    """By the square root of two at 45 degrees."""
    wide, narrow = ((drawn(orientation=angle, scale=1.0) > 0.1).any(0).sum() for angle in (torch.pi / 4, 0.0))
    assert float(wide / narrow) == pytest.approx(2**0.5, rel=0.1)


def test_the_background_has_no_sprite_and_unknown_attributes():
    """In a batch NaN stands for unknown; target rows are all known."""
    data = Sprites(images=60)
    data.load()
    batch = data.batch(torch.arange(60))
    known = batch["attributes"].isfinite()
    assert bool((known.all(1) == (batch["role"] == 1)).all())
    assert batch["attributes"].shape == (60, 5)
    assert batch["image"].shape == (60, 1, 32, 32)
    ink = batch["image"].mean((1, 2, 3))
    assert torch.allclose(ink[batch["role"] == 0].double(), data.attributes["ink"].values[data.roles == 0], atol=3e-3)


def test_attributes_that_there_are_not_are_refused():
    """By name."""
    with pytest.raises(ValueError, match="no attribute 'colour'"):
        Sprites(images=60, attributes=["colour"]).load()
