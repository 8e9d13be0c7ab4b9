"""Supervised contrast: forms, reductions, and what unlabelled rows do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.ntxent import PairwiseNTXent
from contrast_core.objectives.supcon import SupCon
from contrast_core.samplers.labels import Labels
from contrast_core.samplers.views import TwoViews

Make = Callable[..., Any]


def plain(z: Tensor, label: Tensor, temperature: float, form: str) -> Tensor:
    """The rows' losses by loops; NaN for a row without positives."""
    unit = nn.functional.normalize(z, dim=1)
    logits = unit @ unit.T / temperature
    losses = []
    for i in range(len(z)):
        others = torch.arange(len(z)) != i
        own = others & (label == label[i])
        of_rows = {"out": logits[i, own].mean(), "in": logits[i, own].logsumexp(0) - own.sum().double().log()}
        positive = of_rows[form]
        losses.append(logits[i, others].logsumexp(0) - positive)
    return torch.stack(losses)


@pytest.mark.parametrize("form", ["out", "in"])
def test_tiles_equal_loops(run: Make, table: Make, rows: Make, form: Literal["out", "in"]) -> None:
    """600 rows of five classes, in tiles."""
    z, label = rows(600, 6), torch.arange(600) % 5
    value = run(SupCon(temperature=0.3, form=form), Labels(), embedding=table(z, label=label)).value
    expected = plain(z, label, 0.3, form).mean()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    ours, loops = torch.autograd.grad(value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-13)


def test_in_is_at_most_out(run: Make, table: Make, rows: Make) -> None:
    """Jensen's inequality, for every draw."""
    for seed in range(10):
        embedding = table(rows(12, seed=seed), label=torch.arange(12) % 3)
        out, inside = (run(SupCon(form=form), Labels(), embedding=embedding).value for form in ("out", "in"))
        assert inside <= out


def test_labels_of_instances_make_it_nt_xent(run: Make, table: Make, rows: Make) -> None:
    """Two views whose label is the sample: SupCon of either form, one term a pair, and InfoNCE are one
    loss."""
    label = torch.arange(6)
    tables = {"one": table(rows(6, seed=1), label=label), "two": table(rows(6, seed=2), label=label)}
    expected = run(InfoNCE(), TwoViews(), **tables).value
    for objective in (SupCon(), SupCon(form="in"), PairwiseNTXent(temperature=0.1)):
        torch.testing.assert_close(run(objective, Labels(("one", "two")), **tables).value, expected)


def test_reductions_differ_where_rows_lack_positives(run: Make, table: Make, rows: Make) -> None:
    """A class of one row: left out, counted as zero, or summed."""
    z, label = rows(7), torch.tensor([0, 0, 1, 1, 1, 0, 2])
    terms = {
        reduction: run(SupCon(reduction=reduction), Labels(), embedding=table(z, label=label))
        for reduction in ("mean_valid", "mean_all", "sum")
    }
    losses = plain(z, label, 0.1, "out")[:6]
    for reduction, expected in (
        ("mean_valid", losses.mean()),
        ("mean_all", losses.sum() / 7),
        ("sum", losses.sum()),
    ):
        torch.testing.assert_close(terms[reduction].value, expected)
        assert terms[reduction].dropped == 1
    assert [terms[r].rows for r in ("mean_valid", "mean_all", "sum")] == [6, 7, 6]


def test_unlabelled_rows_take_no_part(run: Make, table: Make, rows: Make) -> None:
    """The loss of the labelled rows alone; the others are counted as dropped."""
    z, label = rows(9), torch.tensor([0, 1, -1, 0, 1, -1, 1, -1, 0])
    known = label >= 0
    term = run(SupCon(), Labels(), embedding=table(z, label=label))
    alone = run(SupCon(), Labels(), embedding=table(z[known], label=label[known]))
    torch.testing.assert_close(term.value, alone.value)
    assert (term.rows, term.dropped) == (6, 3)


@pytest.mark.parametrize("form", ["out", "in"])
@pytest.mark.parametrize("reduction", ["mean_valid", "mean_all", "sum"])
def test_no_positive_at_all_is_a_zero(run: Make, table: Make, rows: Make, form: Any, reduction: Any) -> None:
    """Every row a class of its own, or no row: zero, with a gradient of zeros."""
    for n in (4, 0):
        z = rows(n)
        objective = SupCon(form=form, reduction=reduction)
        term = run(objective, Labels(), embedding=table(z, label=torch.arange(n)))
        term.value.backward()
        assert float(term.value.detach()) == 0.0
        assert term.dropped == n
        assert not z.grad.any()


def test_the_base_temperature_scales(run: Make, table: Make, rows: Make) -> None:
    """SupContrast's factor; a base that is not positive is refused."""
    embedding = table(rows(6), label=torch.arange(6) % 2)
    value = run(SupCon(temperature=0.1), Labels(), embedding=embedding).value
    scaled = run(SupCon(temperature=0.1, base_temperature=0.05), Labels(), embedding=embedding).value
    torch.testing.assert_close(scaled, 2 * value)
    with pytest.raises(ValueError, match="positive"):
        SupCon(base_temperature=0.0)
