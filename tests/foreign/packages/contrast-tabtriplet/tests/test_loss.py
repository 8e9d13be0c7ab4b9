# SPDX-License-Identifier: 0BSD
"""The loss against the equation, triplet by triplet."""

import pytest
import torch
from contrast_core import Embeddings, Outputs, Pairs
from contrast_core.relations import edges

from contrast_tabtriplet.loss import Hinge


def outputs(a, c, positives, negatives):
    i, p = torch.tensor(positives).T
    j, n = torch.tensor(negatives).T
    pairs = Pairs(Embeddings.of(a), Embeddings.of(c), edges(i, p), edges(j, n))
    return Outputs({}, {"pairs": pairs}, {})


def apart(x, y):
    return ((x / x.norm() - y / y.norm()) ** 2).sum()


@pytest.mark.parametrize("margin", [0.2, 1.0, 4.0])
def test_value_and_gradient(margin):
    generator = torch.Generator().manual_seed(3)
    a = torch.randn(5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    c = torch.randn(7, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    positive, negative = [0, 3, 3, 6, 1], [1, 2, 5, 0, 0]
    term = Hinge(margin=margin)(outputs(a, c, list(enumerate(positive)), list(enumerate(negative))))
    wanted = 0
    for k in range(5):
        wanted = wanted + torch.relu(apart(a[k], c[positive[k]]) - apart(a[k], c[negative[k]]) + margin) / 5
    torch.testing.assert_close(term.value, wanted, rtol=1e-10, atol=1e-12)
    assert (term.rows, term.dropped) == (5, 0)
    for ours, theirs in zip(torch.autograd.grad(term.value, (a, c)), torch.autograd.grad(wanted, (a, c))):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_incomplete_rows_are_dropped_and_several_are_averaged():
    a, c = torch.randn(3, 4, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
    term = Hinge(margin=4.0)(outputs(a, c, [(0, 0), (0, 1), (1, 2)], [(0, 2), (0, 3), (2, 0)]))
    near, far = ((apart(a[0], c[i]) + apart(a[0], c[i + 1])) / 2 for i in (0, 2))
    torch.testing.assert_close(term.value, near - far + 4.0)
    assert (term.rows, term.dropped) == (1, 2)


def test_without_a_triplet_it_is_a_zero_with_a_gradient():
    a = torch.randn(2, 4, requires_grad=True)
    term = Hinge()(outputs(a, torch.randn(3, 4), [(0, 0)], [(1, 0)]))
    term.value.backward()
    assert term.value == 0
    assert not a.grad.any()


@pytest.mark.parametrize("margin", [0, -0.1, 4.1])
def test_a_margin_out_of_range(margin):
    with pytest.raises(ValueError, match="margin"):
        Hinge(margin=margin)
