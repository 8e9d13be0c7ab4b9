"""Debiased and hard-negative InfoNCE against loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.objectives.debiased import DebiasedInfoNCE
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.labels import Labels
from contrast_core.samplers.views import TwoViews

Make = Callable[..., Any]
LABEL = torch.tensor([0, 0, 1, 1, 1, 0, 2, 1])


def similarities(z: Tensor) -> Tensor:
    """Cosines of all rows."""
    unit = torch.nn.functional.normalize(z, dim=1)
    return unit @ unit.T


def debiased(z: Tensor, t: float, tau_plus: float, beta: float) -> tuple[Tensor, int]:
    """The published equations, anchor by anchor, and how many are at the bound."""
    s, losses, bounded = similarities(z) / t, [], 0
    for i in range(len(z)):
        own = [j for j in range(len(z)) if j != i and LABEL[j] == LABEL[i]]
        others = [j for j in range(len(z)) if LABEL[j] != LABEL[i]]
        if not own:
            continue
        importance = torch.stack([torch.exp(beta * s[i, j]) for j in others])
        importance = importance / importance.mean()
        negative = (importance * torch.stack([torch.exp(s[i, j]) for j in others])).mean()
        positive = torch.stack([torch.exp(s[i, p]) for p in own])
        true = (negative - tau_plus * positive.mean()) / (1 - tau_plus)
        bounded += true.item() < math.exp(-1 / t)
        total = positive.sum() + len(others) * true.clamp(min=math.exp(-1 / t))
        losses.append(total.log() - torch.stack([s[i, p] for p in own]).mean())
    return torch.stack(losses).mean(), bounded


@pytest.mark.parametrize("t", [0.1, 0.5])
@pytest.mark.parametrize("tau_plus", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_debiased_equals_loops(run: Make, table: Make, rows: Make, t: float, tau_plus: float, beta: float) -> None:
    """Values and gradients, at the bound too; the row alone in its class is dropped."""
    z = rows(8)
    term = run(DebiasedInfoNCE(temperature=t, tau_plus=tau_plus, beta=beta), Labels(), embedding=table(z, label=LABEL))
    expected, bounded = debiased(z, t, tau_plus, beta)
    torch.testing.assert_close(term.value, expected, rtol=1e-10, atol=1e-12)
    ours, theirs = (torch.autograd.grad(x, z)[0] for x in (term.value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    assert (term.rows, term.dropped) == (7, 1)
    assert term.scalars["at_bound"] == pytest.approx(bounded / 7)


def test_without_bias_and_hardness_it_is_infonce(run: Make, table: Make, rows: Make) -> None:
    """tau_plus = beta = 0."""
    tables = {"one": table(rows(5, seed=1)), "two": table(rows(5, seed=2))}
    found = [
        run(o, TwoViews(), **tables).value
        for o in (DebiasedInfoNCE(temperature=0.2, tau_plus=0.0), InfoNCE(temperature=0.2))
    ]
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


def test_small_temperatures_do_not_overflow(run: Make, table: Make, rows: Make) -> None:
    """At 0.005 in float32, rows that coincide included."""
    z = rows(8).detach().float()
    z[1] = z[0]
    z.requires_grad_()
    value = run(DebiasedInfoNCE(temperature=0.005, beta=1.0), Labels(), embedding=table(z, label=LABEL)).value
    assert torch.isfinite(value)
    assert torch.isfinite(torch.autograd.grad(value, z)[0]).all()


def test_hard_negatives_of_two_views_as_in_the_authors_code(run: Make, table: Make, rows: Make) -> None:
    """2n - 2 negatives, importance relative to its mean, the sum bounded from below; at 600 rows in tiles."""
    one, two, n, t, tau_plus, beta = rows(300, seed=1), rows(300, seed=2), 300, 0.5, 0.1, 1.5
    objective = DebiasedInfoNCE(temperature=t, tau_plus=tau_plus, beta=beta)
    found = run(objective, TwoViews(), one=table(one), two=table(two)).value
    s = similarities(torch.cat([one, two])) / t
    sample = torch.arange(2 * n) % n
    other = sample[:, None] != sample[None]
    negative = s[other].reshape(2 * n, 2 * n - 2).exp()
    importance = negative**beta
    positive = torch.cat([s.diagonal(n), s.diagonal(-n)]).exp()
    total = (importance * negative).sum(1) / importance.mean(1)
    total = (total - tau_plus * (2 * n - 2) * positive) / (1 - tau_plus)
    total = total.clamp(min=(2 * n - 2) * math.exp(-1 / t))
    expected = -(positive / (positive + total)).log().mean()
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(*(torch.autograd.grad(x, (one, two)) for x in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_without_negatives_a_row_is_dropped(run: Make, table: Make, rows: Make) -> None:
    """One pair alone gives zero and no gradient."""
    one, two = rows(1, seed=1), rows(1, seed=2)
    term = run(DebiasedInfoNCE(beta=1.0), Cross(), one=table(one), two=table(two))
    assert (term.value.item(), term.rows, term.dropped) == (0.0, 0, 1)
    assert not any(gradient.any() for gradient in torch.autograd.grad(term.value, (one, two)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DebiasedInfoNCE(tau_plus=1.0), r"in \[0, 1\), not 1.0"),
        (lambda: DebiasedInfoNCE(beta=-1.0), "must not be negative, as -1.0 is"),
        (lambda: DebiasedInfoNCE(temperature=0.0), "must be positive"),
    ],
)
def test_bad_arguments(make: Callable[[], object], message: str) -> None:
    """One sentence each."""
    with pytest.raises(ValueError, match=message):
        make()
