"""Fixtures of the adapters' tests: tables, rows, and terms with the gradients behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core import runs
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, PairSampler, Term


@pytest.fixture
def table() -> Callable[..., Embeddings]:
    """table(z, **columns): rows are samples 0, 1, ..., unless columns say otherwise."""

    def make(z: Tensor, **columns: Any) -> Embeddings:
        return Embeddings.of(z, **{"sample": torch.arange(len(z)), **columns})

    return make


@pytest.fixture
def rows() -> Callable[..., Tensor]:
    """rows(n, d, seed): float64 normal rows that want a gradient."""

    def draw(n: int, d: int = 6, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(n, d, generator=generator, dtype=torch.float64).requires_grad_()

    return draw


@pytest.fixture
def run() -> Callable[..., Term]:
    """run(objective, sampler, name=table or memory, ...) -> its term."""

    def evaluate(objective: Objective, sampler: PairSampler | None = None, **flow: Any) -> Term:
        tables = {name: value for name, value in flow.items() if isinstance(value, Embeddings)}
        term = objective(Outputs(tables, sampler(flow) if sampler is not None else {}, {}))
        assert isinstance(term, Term)
        return term

    return evaluate


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
