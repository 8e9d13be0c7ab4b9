"""CosineEmbedding against torch's own call and against loops."""

import pytest
import torch
from contrast_core import Embeddings, Outputs, Pairs, dense, same
from torch.nn.functional import cosine_similarity

from contrast_borrowed.cosine import CosineEmbedding


def rows(n, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, generator=generator, dtype=dtype).requires_grad_()


def term_of(objective, anchors, candidates, positives=None, negatives=None, other=None):
    """The term for tables numbered from 0, or the candidates as `other` says."""
    number = torch.arange(len(candidates)) if other is None else torch.tensor(other)
    one = Embeddings.of(anchors, sample=torch.arange(len(anchors)))
    two = Embeddings.of(candidates, sample=number)
    pairs = Pairs(one, two, positives or same("sample"), negatives or ~same("sample"))
    return objective(Outputs({}, {"pairs": pairs}, {}))


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.3])
def test_value_and_gradients_are_torchs(margin):
    """Every pair of four anchors and five candidates, given to the library by hand."""
    a, c = rows(4, 0), rows(5, 1)
    term = term_of(CosineEmbedding(margin=margin), a, c)
    i, j = torch.arange(4).repeat_interleave(5), torch.arange(5).repeat(4)
    loss = torch.nn.CosineEmbeddingLoss(margin=margin)
    wanted = loss(a[i], c[j], torch.where(i == j, 1, -1))
    torch.testing.assert_close(term.value, wanted, rtol=1e-10, atol=1e-12)
    assert (term.rows, term.dropped, term.value.dtype) == (4, 0, torch.float64)
    found, right = torch.autograd.grad(term.value, (a, c)), torch.autograd.grad(wanted, (a, c))
    torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)


def test_weights_count_and_a_pair_in_both_relations_is_a_positive():
    """Two loops."""
    a, c = rows(2, 0), rows(3, 1)
    attract = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.5, 0.0]], dtype=torch.float64)
    repel = torch.tensor([[1.0, 0.0, 3.0], [0.25, 1.0, 0.0]], dtype=torch.float64)
    term = term_of(CosineEmbedding(margin=-0.2), a, c, dense(attract), dense(repel))
    above, below = 0.0, 0.0
    for i in range(2):
        for j in range(3):
            cosine = cosine_similarity(a[i], c[j], dim=0)
            if attract[i, j] > 0:
                weight, loss = attract[i, j], 1 - cosine
            else:
                weight, loss = repel[i, j], torch.relu(cosine + 0.2)
            above, below = above + weight * loss, below + weight
    torch.testing.assert_close(term.value, above / below, rtol=1e-9, atol=1e-10)


def test_rows_in_no_pair_are_dropped():
    """Anchors 2 and 3 have neither a positive nor a negative."""
    nobody = dense(torch.zeros(4, 2, dtype=torch.bool))
    term = term_of(CosineEmbedding(), rows(4, 0), rows(2, 1), negatives=nobody)
    assert (term.rows, term.dropped) == (2, 2)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_without_a_pair_it_is_a_zero_with_a_gradient(n, m):
    """Empty tables are allowed everywhere."""
    a, c = rows(n, 0), rows(m, 1)
    term = term_of(CosineEmbedding(), a, c)
    term.value.backward()
    assert (term.value.item(), term.rows, term.dropped) == (0, 0, n)
    assert a.grad is not None


def test_half_precision_is_computed_in_float32():
    """Near the value of the same rows in float64."""
    a, c = rows(4, 0, torch.bfloat16), rows(4, 1, torch.bfloat16)
    low = term_of(CosineEmbedding(), a, c).value
    assert low.dtype == torch.float32
    wanted = term_of(CosineEmbedding(), a.double(), c.double()).value
    torch.testing.assert_close(low.double(), wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("margin", [1.5, -2.0, float("nan")])
def test_a_margin_is_a_cosine(margin):
    """The sentence names it."""
    with pytest.raises(ValueError, match="margin"):
        CosineEmbedding(margin=margin)
