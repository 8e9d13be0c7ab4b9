"""Fixtures of the objectives' tests: from tables and a sampler to a term."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.pairs import Pairs

Run = Callable[..., Term]


@pytest.fixture
def on() -> Run:
    """on(objective, pairs) -> its term on pairs made by hand."""

    def evaluate(objective: Objective, pairs: Pairs) -> Term:
        term = objective(Outputs({}, {"pairs": pairs}, {}))
        assert isinstance(term, Term)
        return term

    return evaluate


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
