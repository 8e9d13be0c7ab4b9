"""Dropout with 16 random bits a number: how often, how much, and when not."""

from __future__ import annotations

import math

import pytest
import torch

from contrast_recommendation.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_each_number_is_dropped_with_probability_p(p):
    """Independently, and the rest is scaled so that the mean stays; odd shapes included."""
    torch.manual_seed(0)
    shape = (3, 7, 9999)
    found = Dropout(p)(torch.ones(shape))
    kept = found > 0
    count = math.prod(shape)
    assert abs(int(kept.sum()) - count * (1 - p)) < 5 * math.sqrt(count * p * (1 - p))
    # Neighbours share a draw of 64 bits, and must not agree more often than chance.
    flat = kept.flatten()
    for distance in (1, 2, 3, 4):
        agree = int((flat[distance:] & flat[:-distance]).sum())
        chance = (1 - p) ** 2
        assert abs(agree - (count - distance) * chance) < 6 * math.sqrt(count * chance * (1 - chance) * 2)
    assert float(found.max()) == pytest.approx(1 / (1 - p), rel=2**-12)
    rounded = round(p * 2**16) / 2**16
    assert float(found.max()) == pytest.approx(1 / (1 - rounded), rel=1e-6)


def test_gradient_passes_where_numbers_pass():
    """With the same factor."""
    torch.manual_seed(0)
    x = torch.randn(50, 5, dtype=torch.float64, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), y.detach())


def test_nothing_is_dropped_in_evaluation_or_with_probability_zero():
    """The tensor itself comes back, and no random number is drawn."""
    x = torch.randn(4)
    state = torch.get_rng_state()
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert torch.equal(state, torch.get_rng_state())
    assert Dropout(0.5)(torch.zeros(0, 3)).shape == (0, 3)
