"""Fixtures of the objectives' tests: from tables and a sampler to a term."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, PairSampler, Term
from contrast_core.pairs import Pairs

Run = Callable[..., Term]


@pytest.fixture
def run() -> Run:
    """run(objective, sampler, one=table, two=table, ...) -> its one term; memories are given by name too."""

    def evaluate(objective: Objective, sampler: PairSampler | None = None, **flow: Any) -> Term:
        pairs: Mapping[str, Pairs] = sampler(flow) if sampler is not None else {}
        tables = {name: value for name, value in flow.items() if isinstance(value, Embeddings)}
        term = objective(Outputs(tables, pairs, {}))
        assert isinstance(term, Term)
        return term

    return evaluate


@pytest.fixture
def on() -> Run:
    """on(objective, pairs) -> its term on pairs made by hand."""

    def evaluate(objective: Objective, pairs: Pairs) -> Term:
        term = objective(Outputs({}, {"pairs": pairs}, {}))
        assert isinstance(term, Term)
        return term

    return evaluate


@pytest.fixture
def table() -> Callable[..., Embeddings]:
    """table(z, **columns): a table whose rows are samples 0, 1, ..., unless columns say otherwise."""

    def make(z: Tensor, **columns: Any) -> Embeddings:
        return Embeddings.of(z, **{"sample": torch.arange(len(z)), **columns})

    return make


@pytest.fixture
def rows() -> Callable[..., Tensor]:
    """rows(n, d, seed): float64 normal rows that want a gradient."""

    def draw(n: int, d: int = 8, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(n, d, generator=generator, dtype=torch.float64).requires_grad_()

    return draw


@pytest.fixture
def agrees() -> Callable[..., None]:
    """agrees(value, case, "loss", z_a=leaf, ...): value and gradients equal the golden ones to 1e-10
    (float64)."""

    def check(value: Tensor, case: Mapping[str, Tensor], output: str = "loss", **leaves: Tensor) -> None:
        torch.testing.assert_close(value, case[f"out_{output}"], rtol=1e-10, atol=1e-12)
        gradients = torch.autograd.grad(value, list(leaves.values()))
        for name, gradient in zip(leaves, gradients, strict=True):
            torch.testing.assert_close(gradient, case[f"grad_{name}"], rtol=1e-10, atol=1e-12)

    return check
