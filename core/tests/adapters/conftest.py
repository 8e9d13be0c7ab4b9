"""Fixtures of the adapters' tests: tables, rows, and terms with the gradients behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core import runs
from contrast_core.interfaces import Term


@pytest.fixture
def rows(rows: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Rows of six numbers, unless more are asked for."""
    return lambda n, d=6, seed=0: rows(n, d, seed)


@pytest.fixture
def alike() -> Callable[..., None]:
    """alike(term, other, leaf, ...): both values and their gradients are equal to 1e-10, and the gradients not zero."""

    def check(term: Term, other: Term, *leaves: Tensor) -> None:
        torch.testing.assert_close(term.value, other.value, rtol=1e-10, atol=1e-12)
        found, expected = (torch.autograd.grad(each.value, leaves) for each in (term, other))
        for ours, theirs in zip(found, expected, strict=True):
            assert theirs.abs().max() > 1e-6
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)

    return check


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """train(recipe, settings, steps): a short run without a report; returns its folder."""
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)

    def go(recipe: str, settings: Mapping[str, Any], steps: int = 3) -> Path:
        short = {
            "training.steps": steps,
            "training.batch_size": 100,
            "training.threads": 1,
            "training.tensorboard": "off",
            "training.learning_rate": 0.01,
            "evaluation.probe.strengths": [0.1],
            "evaluation.clusters.runs": 1,
        }
        return Path(runs.run(recipe, set={**short, **settings}, out=tmp_path / f"run-{steps}").folder)

    return go
