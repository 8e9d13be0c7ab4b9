"""Short runs to export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import contrast_core as contrast
from contrast_core import runs


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """trained(recipe, settings): the folder of a run of two steps, without a report."""
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)

    def train(recipe: str, settings: Mapping[str, Any] | None = None) -> Path:
        short: dict[str, Any] = {
            "training.steps": 2, "training.batch_size": 50, "training.threads": 1, "training.tensorboard": "off",
            "training.learning_rate": 0.01,
        }  # fmt: skip
        if "digits" in recipe:
            short |= {"evaluation.probe.strengths": [0.1], "evaluation.clusters.runs": 1}
        return contrast.run(recipe, set={**short, **(settings or {})}, out=tmp_path / "run").folder

    return train


@pytest.fixture
def table(tmp_path: Path) -> tuple[Path, np.ndarray[Any, Any]]:
    """A file of 120 rows of four features, far from zero and one of them constant, and the rows."""
    rows = np.random.default_rng(0).normal(1e4, 3.0, (120, 4))
    rows[:, 3] = 7.0
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy", rows
