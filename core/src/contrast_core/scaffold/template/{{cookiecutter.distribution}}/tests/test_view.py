"""Corrupted: what is replaced, by what, and when nothing is."""

from __future__ import annotations

import pytest
import torch

from {{ cookiecutter.__package }}.view import Corrupted


def table(rows: int, features: int) -> torch.Tensor:
    """Every number occurs once: 100 times its row and its feature."""
    return 100.0 * torch.arange(rows)[:, None] + torch.arange(features)


def test_a_share_of_the_features_comes_from_other_rows_of_the_same_feature() -> None:
    """Each number of the corrupted view stands in its own column, and no more than floor(rate k) differ in a row."""
    torch.manual_seed(0)
    x = table(50, 7)
    views = Corrupted(rate=0.5)({"features": x})
    assert torch.equal(views["one"], x)
    changed = views["two"] != x
    assert torch.equal(views["two"] % 100, x % 100)
    # Three of seven; a drawn row may be the row itself.
    assert changed.sum(1).max() == 3
    assert changed.any(0).all()
    assert 2.5 < changed.sum(1).float().mean() < 3


def test_evaluation_changes_nothing_and_draws_nothing() -> None:
    """Both views are the input, and the random generator stays where it was."""
    x, before = table(5, 4), torch.get_rng_state()
    views = Corrupted().eval()({"features": x})
    assert torch.equal(views["one"], x)
    assert torch.equal(views["two"], x)
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_options_and_inputs_are_refused() -> None:
    """Each with a sentence that says what would be right."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        Corrupted(rate=1.5)
    with pytest.raises(ValueError, match="two names, not 'one' twice"):
        Corrupted(corrupted="one")
    with pytest.raises(ValueError, match="'features' must be a table"):
        Corrupted()({"features": torch.zeros(3, 4, dtype=torch.int64)})
