"""The kernel contrastive loss: golden cases, lists of distances, what is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.objectives.kcl import KCL
from contrast_core.objectives.view_pairs import PairwiseViews
from contrast_core.pairs import Pairs
from contrast_core.relations import same
from contrast_core.samplers.views import TwoViews

Golden = Callable[[str], list[Any]]
Make = Callable[..., Any]

KERNELS: dict[str, tuple[dict[str, Any], Callable[[Tensor], Tensor]]] = {
    "gaussian": ({"kernel": "gaussian", "t": 0.7}, lambda d: torch.exp(-0.7 * d**2)),
    "log": ({"kernel": "log", "t": 0.7}, lambda d: -torch.log(1 + 0.7 * d**2)),
    "imq": ({"kernel": "imq", "c": 0.6}, lambda d: 0.6 / torch.sqrt(0.36 + d**2)),
    "riesz": ({"kernel": "riesz", "s": 1.5}, lambda d: d**-1.5),
    "riesz_below_0": ({"kernel": "riesz", "s": -1.0}, lambda d: -d),
}


@pytest.mark.parametrize("kernel", ["gaussian", "imq", "log"])
def test_golden_cases(golden: Golden, run: Make, table: Make, agrees: Make, kernel: Any) -> None:
    """The authors' one parameter t is t or c; they halve the energy of the log kernel."""
    for case in golden(f"kcl_{kernel}"):
        params, z = case.meta["params"], case["in_z"].clone().requires_grad_()
        one, two = z.chunk(2)
        own, gamma = params["t"], params["gamma"]
        objective = KCL(kernel=kernel, gamma=gamma, t=own, c=own, halve_log_energy=True)
        term = run(objective, TwoViews(), one=table(one), two=table(two))
        agrees(term.value, case, z=z)
        assert (term.rows, term.dropped) == (len(z), 0)


@pytest.mark.parametrize("size", [7, 140])
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_of_listed_distances(run: Make, table: Make, rows: Make, name: str, size: int) -> None:
    """The equation by torch.pdist, for few rows and for more than are computed at once."""
    settings, kernel = KERNELS[name]
    a, b = rows(size, seed=1), rows(size, seed=2)
    x, y = nn.functional.normalize(a, dim=1), nn.functional.normalize(b, dim=1)
    energy = kernel(torch.pdist(x)).mean() + kernel(torch.pdist(y)).mean()
    expected = 3.0 * energy - 2 * kernel((x - y).norm(dim=1)).mean()
    value = run(KCL(gamma=3.0, **settings), TwoViews(), one=table(a), two=table(b)).value
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    ours, theirs = torch.autograd.grad(value, (a, b)), torch.autograd.grad(expected, (a, b))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_halving_the_log_energy_is_half_the_gamma(run: Make, table: Make, rows: Make) -> None:
    """And it changes no other kernel."""
    tables = {"one": table(rows(5, seed=1)), "two": table(rows(5, seed=2))}
    for kernel, gamma in (("log", 4.0), ("imq", 8.0)):
        halved = run(KCL(kernel=kernel, gamma=8.0, halve_log_energy=True), TwoViews(), **tables)  # type: ignore[arg-type]
        plain = run(KCL(kernel=kernel, gamma=gamma), TwoViews(), **tables)  # type: ignore[arg-type]
        torch.testing.assert_close(halved.value, plain.value, rtol=0, atol=0)


@pytest.mark.parametrize("name", KERNELS)
def test_more_views_are_averaged_over_their_pairs(run: Make, table: Make, rows: Make, name: str) -> None:
    """Three views at once, and as pairs of views."""
    tables = {view: table(rows(6, seed=seed)) for seed, view in enumerate("abc")}
    objective = KCL(**KERNELS[name][0])
    found = run(objective, TwoViews("abc"), **tables).value
    expected = run(PairwiseViews(objective), TwoViews("abc"), **tables).value
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_rows_that_coincide(run: Make, table: Make, rows: Make, name: str) -> None:
    """Equal positives, and equal negatives, have a finite loss and gradient, with the singular kernel too."""
    a = rows(5).detach()
    a[1] = a[0]
    a.requires_grad_()
    term = run(KCL(**KERNELS[name][0]), TwoViews(), one=table(a), two=table(a))
    term.value.backward()
    assert term.value.isfinite()
    assert a.grad is not None
    assert a.grad.isfinite().all()


def test_rows_without_a_partner_are_dropped(run: Make, table: Make, rows: Make) -> None:
    """The mean is over rows that have a positive and a negative; without any it is zero."""
    a, b = rows(3, seed=1), rows(2, seed=2)
    x, y = nn.functional.normalize(a, dim=1), nn.functional.normalize(b, dim=1)

    def kernel(p: Tensor, q: Tensor) -> Tensor:
        return torch.exp(-2.0 * (p - q).square().sum())

    first = [16 * (kernel(x[i], x[1 - i]) + kernel(x[i], x[2])) / 2 - kernel(x[i], y[i]) for i in (0, 1)]
    second = [16 * kernel(y[i], y[1 - i]) - kernel(x[i], y[i]) for i in (0, 1)]
    term = run(KCL(), TwoViews(), one=table(a), two=table(b))
    torch.testing.assert_close(term.value, 2 * torch.stack(first + second).mean())
    assert (term.rows, term.dropped) == (4, 1)
    apart = run(KCL(), TwoViews(), one=table(a), two=table(b, sample=torch.tensor([7, 8])))
    apart.value.backward()
    assert (float(apart.value.detach()), apart.rows, apart.dropped) == (0.0, 0, 5)
    assert a.grad is not None
    assert not a.grad.any()


def test_bad_arguments(on: Make, rows: Make) -> None:
    """One sentence each."""
    with pytest.raises(ValueError, match="'gaussian', 'log', 'imq' or 'riesz', not 'cosine'"):
        KCL(kernel="cosine")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be positive, not t = 0 and c = 2"):
        KCL(t=0)
    with pytest.raises(ValueError, match="s = 0 is the same for all pairs"):
        KCL(kernel="riesz", s=0)
    lone = Embeddings.of(rows(3), sample=torch.arange(3), view=0)
    with pytest.raises(ValueError, match="at least two views"):
        on(KCL(), Pairs(lone, lone, same("sample"), ~same("sample")))
