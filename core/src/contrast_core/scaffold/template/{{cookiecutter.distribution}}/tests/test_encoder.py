"""Periodic: its equation, its tables, its errors."""

from __future__ import annotations

import math

import pytest
import torch

from {{ cookiecutter.__package }}.encoder import Periodic


def made(rows: int = 5, features: int = 3) -> tuple[Periodic, dict[str, torch.Tensor]]:
    """A small encoder made ready for a batch of two views, and the batch."""
    torch.manual_seed(0)
    flow = {
        "one": torch.randn(rows, features),
        "two": torch.randn(rows, features),
        "sample": torch.arange(rows),
        "label": torch.arange(rows) % 2,
    }
    encoder = Periodic(frequencies=2, hidden=8, embedding_size=6, projection=4)
    encoder.prepare(flow)
    return encoder, flow


def test_the_perceptron_sees_the_features_and_their_waves() -> None:
    """h of one item, from loops over features and frequencies."""
    encoder, flow = made()
    x = flow["one"][2]
    angles = [2 * math.pi * encoder.waves[j, f] * x[j] for j in range(3) for f in range(2)]
    seen = [*x, *[angle.sin() for angle in angles], *[angle.cos() for angle in angles]]
    expected = encoder.backbone(torch.stack(seen)[None])[0]
    torch.testing.assert_close(encoder.embed(flow).z[2], expected)
    torch.testing.assert_close(encoder(flow)["one"].z[2], encoder.head(expected[None])[0])


def test_tables_hold_a_row_an_item_and_its_facts() -> None:
    """Under the views' names, with the columns that `gives` promises."""
    encoder, flow = made()
    tables = encoder(flow)
    assert set(tables) == {"one", "two"}
    assert tables["two"].z.shape == (5, 4)
    assert torch.equal(tables["two"]["sample"], flow["sample"])
    assert torch.equal(tables["two"]["label"], flow["label"])
    assert all(name in tables["one"] for name in ("z", "sample", "view", "label"))


def test_frequencies_are_learned() -> None:
    """A gradient reaches every wave."""
    encoder, flow = made()
    encoder(flow)["one"].z.square().sum().backward()
    assert encoder.waves.grad is not None
    assert (encoder.waves.grad != 0).all()


def test_bad_options_and_inputs_are_refused() -> None:
    """Each with a sentence that says what would be right."""
    with pytest.raises(ValueError, match="at least 1"):
        Periodic(hidden=0)
    with pytest.raises(ValueError, match="must be positive"):
        Periodic(sigma=0.0)
    with pytest.raises(ValueError, match="none twice"):
        Periodic(views=["one", "one"])
    encoder, flow = made()
    with pytest.raises(ValueError, match=r"built for \(B, 3\)"):
        encoder({**flow, "one": torch.zeros(5, 4)})
