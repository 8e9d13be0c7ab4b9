"""A teacher's momentum that follows a cosine."""

from __future__ import annotations

import math

import pytest
import torch

from contrast_core.encoders.mlp import MLP
from contrast_core.encoders.momentum import Momentum


def test_the_momentum_goes_to_its_end_on_half_a_cosine_and_stays_there() -> None:
    """And each update is made with the momentum of its time."""
    encoder = Momentum(MLP(views=["one"], hidden=[]), momentum=0.8, final=1.0, updates=4)
    encoder.prepare({"one": torch.zeros(2, 3), "sample": torch.arange(2)})
    weight = encoder.encoder.get_parameter("backbone.0.weight")
    taught = encoder.teacher.get_parameter("backbone.0.weight")
    with torch.no_grad():
        weight.add_(1.0)
    for t in range(6):
        expected = 1.0 - 0.2 * (1 + math.cos(math.pi * min(t / 4, 1))) / 2
        assert encoder.current() == pytest.approx(expected)
        before = taught.clone()
        encoder.after_update()
        torch.testing.assert_close(taught, expected * before + (1 - expected) * weight)


@pytest.mark.parametrize(
    "wrong", [{"final": 1.5, "updates": 4}, {"final": 1.0}, {"updates": 4}, {"final": 1.0, "updates": 0}]
)
def test_a_schedule_needs_an_end_and_a_length(wrong: dict[str, float]) -> None:
    """Both, and in range."""
    with pytest.raises(ValueError, match="final"):
        Momentum(MLP(), **wrong)  # type: ignore[arg-type]
