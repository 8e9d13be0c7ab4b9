"""ProxyAnchor against the library's own call and against loops, and what the wrapper adds to it."""

import sys

import pytest
import torch
from contrast_core import ContrastError, Embeddings, Outputs
from pytorch_metric_learning.losses import ProxyAnchorLoss
from torch.nn.functional import cosine_similarity

from contrast_borrowed.proxies import ProxyAnchor

LABELS = [0, 2, -1, 2, 0, 1]


def made(z, labels=LABELS, classes=4, prepare=True, **options):
    """The objective with its proxies, and outputs to call it with."""
    tables = {"embedding": Embeddings.of(z, label=torch.tensor(labels, dtype=torch.int64))}
    objective = ProxyAnchor(classes, **options)
    if prepare:
        torch.manual_seed(3)
        objective.prepare(tables)
    return objective, Outputs(tables, {}, {})


def six_rows(dtype=torch.float64):
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=dtype).requires_grad_()


def test_value_and_gradients_are_the_librarys():
    """Rows without a label are left out, class 3 has no row."""
    z = six_rows()
    objective, outputs = made(z, margin=0.2, alpha=8.0)
    term = objective(outputs)
    term.value.backward()
    theirs = ProxyAnchorLoss(num_classes=4, embedding_size=3, margin=0.2, alpha=8.0).double()
    theirs.load_state_dict(objective.loss.state_dict())
    theirs.double()
    known = torch.tensor(LABELS) != -1
    same_z = z.detach().clone().requires_grad_()
    wanted = theirs(same_z[known], torch.tensor(LABELS)[known])
    wanted.backward()
    torch.testing.assert_close(term.value, wanted, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(z.grad, same_z.grad, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(objective.loss.proxies.grad, theirs.proxies.grad.float(), rtol=1e-6, atol=1e-8)
    assert (term.rows, term.dropped, term.value.dtype) == (5, 1, torch.float64)


def test_value_is_the_papers():
    """Equation 4 as loops."""
    z = six_rows()
    objective, outputs = made(z, margin=0.1, alpha=4.0)
    proxies = objective.loss.proxies.double()
    near, far = 0.0, 0.0
    for c in range(4):
        s = [cosine_similarity(row, proxies[c], dim=0) for row in z]
        near += torch.log1p(sum(torch.exp(-4 * (s[i] - 0.1)) for i in range(6) if LABELS[i] == c) + torch.zeros(()))
        far += torch.log1p(sum(torch.exp(4 * (s[i] + 0.1)) for i in range(6) if LABELS[i] not in (c, -1)))
    torch.testing.assert_close(objective(outputs).value, near / 3 + far / 4, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_proxies_keep_their_type_and_get_a_gradient(dtype):
    """The library alone would turn the parameter into the type of the rows."""
    objective, outputs = made(six_rows(dtype))
    proxies = objective.loss.proxies
    objective(outputs).value.backward()
    assert objective.loss.proxies is proxies
    assert proxies.dtype == torch.float32
    assert proxies.grad.abs().sum() > 0


@pytest.mark.parametrize("labels", [[-1] * 6, []])
def test_without_a_label_it_is_a_zero_with_a_gradient(labels):
    """Also for a table without rows."""
    z = six_rows()
    objective, outputs = made(z[: len(labels)], labels)
    term = objective(outputs)
    term.value.backward()
    assert (term.value.item(), term.rows, term.dropped) == (0, 0, len(labels))
    assert objective.loss.proxies.grad.abs().sum() == 0


def test_a_label_too_large_gets_a_sentence():
    """It names the setting."""
    objective, outputs = made(six_rows(), classes=2)
    with pytest.raises(ValueError, match="classes = 2"):
        objective(outputs)


def test_before_prepare_there_are_no_proxies():
    """A sentence, no AttributeError."""
    objective, outputs = made(six_rows(), prepare=False)
    with pytest.raises(ValueError, match="prepare"):
        objective(outputs)


def test_without_the_library_it_says_what_to_install(monkeypatch):
    """As if it had never been installed."""
    for name in list(sys.modules):
        if name.split(".")[0] == "pytorch_metric_learning":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(ContrastError, match=r"pip install 'contrast-borrowed\[proxies\]'"):
        ProxyAnchor(10)


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"tables": ()}, {"margin": 3.0}, {"alpha": float("inf")}])
def test_numbers_out_of_range_are_refused(wrong):
    """The sentence names the argument."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ProxyAnchor(**({"classes": 10} | wrong))
