"""Spectral against plain loops."""

from __future__ import annotations

import pytest
import torch
from contrast_core import Embeddings, Outputs, Pairs, Term, dense

from {{ cookiecutter.__package }}.objective import Spectral


def term_of(mu: float, a: torch.Tensor, c: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor) -> Term:
    """The objective's term on pairs given as matrices of weights."""
    pairs = Pairs(Embeddings.of(a), Embeddings.of(c), dense(positives), dense(negatives))
    term = Spectral(mu=mu)(Outputs({}, {"pairs": pairs}, {}))
    assert isinstance(term, Term)
    return term


def by_loops(mu: float, a: torch.Tensor, c: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor):
    """The docstring's equation with rows of length sqrt(mu)."""
    a, c = (mu**0.5 * torch.nn.functional.normalize(x, dim=1) for x in (a, c))
    losses = []
    for i in range(len(a)):
        products = [a[i] @ row for row in c]
        drawn = sum(w * s for w, s in zip(positives[i], products, strict=True)) / positives[i].sum()
        pushed = sum(w * s**2 for w, s in zip(negatives[i], products, strict=True)) / negatives[i].sum()
        losses.append(pushed - 2 * drawn)
    return torch.stack(losses).mean()


@pytest.mark.parametrize("mu", [1.0, 3.0])
def test_value_and_gradients_equal_the_equation(mu: float) -> None:
    """With weights of both relations, in float64."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    c = torch.randn(6, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(4, 6, generator=generator, dtype=torch.float64)
    positives, negatives = weights * torch.eye(4, 6), weights * (1 - torch.eye(4, 6))
    term = term_of(mu, a, c, positives, negatives)
    expected = by_loops(mu, a, c, positives, negatives)
    torch.testing.assert_close(term.value, expected, rtol=1e-10, atol=1e-12)
    found, wanted = (torch.autograd.grad(value, (a, c)) for value in (term.value, expected))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_rows_without_positive_or_negative_are_dropped() -> None:
    """They are counted, and the others' mean is the loss."""
    generator = torch.Generator().manual_seed(0)
    a, c = (torch.randn(3, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    positives = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 1]], dtype=torch.float64)
    negatives = torch.tensor([[0.0, 1, 1], [1, 1, 1], [0, 0, 0]], dtype=torch.float64)
    term = term_of(1.0, a, c, positives, negatives)
    assert (term.rows, term.dropped) == (1, 2)
    expected = by_loops(1.0, a[:1], c, positives[:1], negatives[:1])
    torch.testing.assert_close(term.value, expected, rtol=1e-10, atol=1e-12)


def test_the_least_value_is_minus_two_mu() -> None:
    """Positives in one direction, negatives at right angles."""
    eye = torch.eye(3, dtype=torch.float64)
    assert term_of(2.0, eye, eye, eye, 1 - eye).value == -4.0


def test_mu_must_be_positive() -> None:
    """The sentence says what it is."""
    with pytest.raises(ValueError, match="squared length"):
        Spectral(mu=0.0)
