"""What must not change the loss, and losses that must be one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_core.objectives.infonce import DCL, InfoNCE
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.queue import Queue
from contrast_core.samplers.views import TwoViews

Make = Callable[..., Any]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 9), st.integers(0, 1000))
def test_permutations_change_nothing(n: int, seed: int) -> None:
    """The order of rows is irrelevant, and so is a rotation of the space and the rows' length."""
    generator = torch.Generator().manual_seed(seed)
    a, c = torch.randn(2, n, 5, generator=generator, dtype=torch.float64)
    order, other = torch.randperm(n, generator=generator), torch.randperm(n, generator=generator)
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64))[0]
    sampler, objective = Cross(), InfoNCE(temperature=0.3, directions="both")

    def loss(x: Tensor, y: Tensor, i: Tensor, j: Tensor) -> Tensor:
        tables = {"one": Embeddings.of(x, sample=i), "two": Embeddings.of(y, sample=j)}
        term: Any = objective(Outputs(tables, sampler(tables), {}))
        return term.value  # type: ignore[no-any-return]

    number = torch.arange(n)
    expected = loss(a, c, number, number)
    torch.testing.assert_close(loss(a[order], c[other], order, other), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss(a @ rotation * 3, c @ rotation, number, number), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss(c, a, number, number), expected, rtol=1e-10, atol=1e-10)


def test_decoupled_is_below_nt_xent(run: Make, table: Make, rows: Make) -> None:
    """A smaller denominator: DCL <= NT-Xent on the same pairs."""
    tables = {"one": table(rows(9, seed=1)), "two": table(rows(9, seed=2))}
    assert run(DCL(), TwoViews(), **tables).value < run(InfoNCE(), TwoViews(), **tables).value


class Rows(nn.Module):
    """A memory that gives one table."""

    def __init__(self, table: Embeddings):
        super().__init__()
        self.table = table

    def read(self) -> Embeddings:
        """The table."""
        return self.table


def test_a_queue_of_the_other_keys_is_in_batch_infonce(run: Make, table: Make, rows: Make) -> None:
    """For one query, a memory that holds the other keys gives the loss of the batch."""
    q, k = rows(6, seed=1), rows(6, seed=2).detach()
    queued = []
    for i in range(6):
        others = torch.arange(6) != i
        memory = Rows(Embeddings.of(k[others], sample=torch.arange(6)[others]))
        number = torch.tensor([i])
        flow = {"query": table(q[i : i + 1], sample=number), "key": table(k[i : i + 1], sample=number)}
        queued.append(run(InfoNCE(), Queue(), **flow, queue=memory).value)
    in_batch = run(InfoNCE(), Cross(), one=table(q), two=table(k)).value
    found = torch.stack(queued).mean()
    torch.testing.assert_close(found, in_batch, rtol=1e-12, atol=1e-12)
    ours, others = torch.autograd.grad(found, q), torch.autograd.grad(in_batch, q)
    torch.testing.assert_close(ours, others, rtol=1e-12, atol=1e-12)
