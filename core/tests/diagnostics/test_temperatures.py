"""The curve over temperatures, with a training that needs no network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from contrast_core.diagnostics import effective_rank, tolerance, uniformity, uniformity_tolerance_curve

LABELS = torch.arange(60) % 3


def trained(temperature: float) -> Tensor:
    """Rows that stay nearer to the direction of their class the higher the temperature."""
    noise = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    return temperature * torch.eye(8)[LABELS] * 5 + noise


def test_each_temperature_is_trained_once_and_measured() -> None:
    """In the given order; rows hold what the functions say of the embedding."""
    asked: list[float] = []

    def train(temperature: float) -> tuple[Tensor, Tensor, float]:
        asked.append(temperature)
        return trained(temperature), LABELS, 0.5 + temperature / 10

    found = uniformity_tolerance_curve([0.1, 1.0, 0.5], train)
    assert asked == [0.1, 1.0, 0.5]
    for temperature, row in zip(asked, found, strict=True):
        z = trained(temperature)
        assert row == {
            "temperature": temperature,
            "uniformity": uniformity(z),
            "tolerance": tolerance(z, LABELS),
            "effective_rank": effective_rank(z),
            "accuracy": 0.5 + temperature / 10,
        }
    low, high = found[0], found[1]
    assert low["uniformity"] < high["uniformity"]
    assert low["tolerance"] < high["tolerance"]


def test_an_accuracy_is_not_needed_but_a_temperature_is() -> None:
    """Without one the row has no such entry."""
    (row,) = uniformity_tolerance_curve([1.0], lambda temperature: (trained(temperature).numpy(), LABELS.numpy()))
    assert "accuracy" not in row
    with pytest.raises(ValueError, match="at least one temperature"):
        uniformity_tolerance_curve([], lambda _: (torch.zeros(2, 2), torch.zeros(2)))
