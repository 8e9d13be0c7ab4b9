"""What is kept for backward grows with the tables, not with their product."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.relations import Relation, differing, kernel, learned, same
from contrast_core.similarity import Dot

WIDTH = 32


class Gate(nn.Module):
    """Staged weights of four hidden units."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, 4)

    def anchor_rows(self, z: Tensor) -> Tensor:
        """The anchors' projection."""
        return self.layer(z)

    def candidate_rows(self, z: Tensor) -> Tensor:
        """The candidates' projection."""
        return self.layer(z)

    def between(self, a: Tensor, c: Tensor) -> Tensor:
        """Weights of projected rows."""
        return torch.sigmoid(pairwise.additive_scores(a, c, self.layer.bias))


def pairs(rows: int) -> Pairs:
    """Two tables of equal size with labels of about eight rows each."""
    make = torch.Generator().manual_seed(0)

    def table() -> Embeddings:
        labels = torch.randint(0, 64, (rows,), generator=make)
        z = torch.randn(rows, WIDTH, generator=make).requires_grad_()
        return Embeddings.of(z, label=labels, view=torch.arange(rows) % 2, sample=torch.arange(rows))

    return Pairs(table(), table(), same("sample"), ~same("sample"))


Statistic = Callable[[Pairs], Tensor]
CLOSE = kernel("label", lambda a, c: 1 / (1 + (a - c).abs()))


def soft(relation: Relation) -> Statistic:
    """A softmax mean over a relation."""
    return lambda p: pairwise.softmax_mean(torch.square, p, relation, temperature=0.5)


STATISTICS: dict[str, Statistic] = {
    "logsumexp, cosine": lambda p: pairwise.logsumexp(p, p.negatives, temperature=0.1),
    "logsumexp, large logits": lambda p: pairwise.logsumexp(p, p.negatives, Dot(), temperature=0.01),
    "logsumexp, counts": lambda p: pairwise.logsumexp(p, differing("label"), temperature=0.1),
    "weighted_sum, list": lambda p: pairwise.weighted_sum(p, p.positives)[0],
    "weighted_sum, tiles": lambda p: pairwise.weighted_sum(p, same("label") & ~same("view"))[0],
    "softmax_mean, kernel": soft(CLOSE),
    "softmax_mean, learned": soft(learned(Gate())),
    "logsumexp, learned": lambda p: pairwise.logsumexp(p, learned(Gate()), temperature=0.5),
    "sum_of": lambda p: pairwise.sum_of(torch.square, p, p.negatives),
    "topk": lambda p: pairwise.topk(p, p.negatives, 3)[0],
}


def saved_bytes(statistic: Statistic, rows: int) -> int:
    """Distinct memory that the graph holds after the forward pass."""
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        kept.append(tensor)
        return tensor

    kept: list[Tensor] = []
    p = pairs(rows)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = statistic(p)
    assert value.requires_grad
    return sum(storages.values())


@pytest.mark.parametrize("name", STATISTICS)
def test_saved_bytes_grow_with_the_tables(name: str) -> None:
    """A few copies of the tables, less than 1 / 10 of the matrix, and twice as much for twice as many rows."""
    rows = 4096
    tables = 2 * rows * WIDTH * 4
    saved = saved_bytes(STATISTICS[name], rows)
    assert saved <= 6 * tables
    assert saved < rows * rows * 4 / 10
    half = saved_bytes(STATISTICS[name], rows // 2)
    assert 1.7 < saved / half < 2.3


def test_nothing_is_kept_without_gradients() -> None:
    """Under no_grad the same numbers come out, without a graph."""
    p = pairs(600)
    for statistic in STATISTICS.values():
        torch.manual_seed(0)
        expected = statistic(p).detach()
        with torch.no_grad():
            torch.manual_seed(0)
            value = statistic(p)
        assert not value.requires_grad
        torch.testing.assert_close(value, expected)
