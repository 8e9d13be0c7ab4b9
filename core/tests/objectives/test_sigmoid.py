"""The sigmoid loss against loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.objectives.sigmoid import Sigmoid
from contrast_core.pairs import Pairs
from contrast_core.relations import dense
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.labels import Labels

Make = Callable[..., Any]


def logits(objective: Sigmoid, one: Tensor, two: Tensor) -> Tensor:
    """s times the learned scale, plus the bias."""
    unit = [torch.nn.functional.normalize(x, dim=1) for x in (one, two)]
    assert objective.temperature.log_scale is not None
    return unit[0] @ unit[1].T * objective.temperature.log_scale.exp() + objective.bias


@pytest.mark.parametrize("n", [5, 300])
def test_it_equals_the_published_sum(run: Make, table: Make, rows: Make, n: int) -> None:
    """Values, and gradients of rows, temperature and bias; 300 by 300 pairs are computed in blocks."""
    one, two = rows(n, seed=1), rows(n, seed=2)
    objective = Sigmoid(temperature=0.3, bias=-2.0).double()
    term = run(objective, Cross(), one=table(one), two=table(two))
    sign = 2 * torch.eye(n, dtype=torch.float64) - 1
    expected = -torch.log(torch.sigmoid(sign * logits(objective, one, two))).sum() / n
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    leaves = (one, two, *objective.parameters())
    assert len(leaves) == 4
    for ours, theirs in zip(*(torch.autograd.grad(v, leaves) for v in (term.value, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert term.scalars == {"temperature": pytest.approx(0.3), "bias": -2.0}


def test_it_starts_as_published() -> None:
    """log 10 and -10, both learned."""
    assert {name: value.item() for name, value in Sigmoid().named_parameters()} == {
        "bias": -10.0,
        "temperature.log_scale": pytest.approx(math.log(10)),
    }


def test_weights_overlaps_and_missing_positives(on: Make, rows: Make) -> None:
    """Weights multiply, a candidate that is both is a positive, a row without positives is dropped."""
    a, c = rows(3, seed=1), rows(4, seed=2)
    positives = torch.tensor([[2.0, 0, 0.5, 0], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.float64)
    negatives = torch.tensor([[1.0, 1, 0, 3], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.float64)
    objective = Sigmoid(bias=-1.0).double()
    term = on(objective, Pairs(Embeddings.of(a), Embeddings.of(c), dense(positives), dense(negatives)))
    x, total = logits(objective, a, c), torch.zeros((), dtype=torch.float64)
    for i in (0, 2):
        for j in range(4):
            if positives[i, j] > 0:
                total = total + positives[i, j] * torch.log1p(torch.exp(-x[i, j]))
            else:
                total = total + negatives[i, j] * torch.log1p(torch.exp(x[i, j]))
    torch.testing.assert_close(term.value, total / 2, rtol=1e-12, atol=1e-12)
    assert (term.rows, term.dropped) == (2, 1)


def test_large_logits_neither_overflow_nor_vanish(run: Make, table: Make) -> None:
    """In float32 at a temperature of 0.005: certain errors cost their logit, and have a gradient."""
    one = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    two = torch.tensor([[-0.8, 0.6], [0.6, 0.8]], requires_grad=True)
    value = run(Sigmoid(temperature=0.005, bias=0.0), Cross(), one=table(one), two=table(two)).value
    # The first pair is missed at 160, and two others are taken for pairs at 120 each.
    assert value.item() == pytest.approx((160 + 120 + 120) / 2)
    gradients = torch.autograd.grad(value, (one, two))
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


def test_a_fixed_one_learns_nothing_of_its_own(run: Make, table: Make, rows: Make) -> None:
    """No parameter wants a gradient, and only the bias is reported."""
    objective = Sigmoid(learnable=False).double()
    assert not [p for p in objective.parameters() if p.requires_grad]
    labels = torch.tensor([0, 0, 1, 1, 2])
    term = run(objective, Labels(), embedding=table(rows(5), label=labels))
    assert (term.rows, term.dropped, term.scalars) == (4, 1, {"bias": -10.0})


def test_a_temperature_is_positive() -> None:
    """One sentence."""
    with pytest.raises(ValueError, match="must be positive"):
        Sigmoid(temperature=0.0)
