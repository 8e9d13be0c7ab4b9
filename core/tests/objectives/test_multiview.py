"""Multi-view objectives: golden cases, loops over incomplete views, the ideal configuration."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective
from contrast_core.objectives.dhel import DHEL
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.multiview import CL1, CL2, MVDHEL, MVInfoNCE
from contrast_core.objectives.polyview import PolyView
from contrast_core.objectives.view_pairs import MeanOfOthers, PairwiseViews
from contrast_core.pairs import Pairs
from contrast_core.relations import dense, edges, same
from contrast_core.samplers.views import TwoViews
from contrast_core.similarity import Dot

Golden = Callable[[str], list[Any]]
Make = Callable[..., Any]

WITH_TEMPERATURE: dict[str, Callable[[float], Objective]] = {
    "mv_infonce": lambda t: MVInfoNCE(temperature=t),
    "mv_dhel": lambda t: MVDHEL(temperature=t),
    "cl1": lambda t: CL1(temperature=t),
    "cl2": lambda t: CL2(temperature=t),
    "pvc_geometric": lambda t: PolyView(temperature=t),
    "ntxent_two_view": lambda t: InfoNCE(temperature=t),
    "ntxent_pwe": lambda t: PairwiseViews(InfoNCE(temperature=t)),
    "mv_dhel_pwe": lambda t: PairwiseViews(DHEL(temperature=t)),
    "ntxent_avg": lambda t: MeanOfOthers(temperature=t),
}


def pairs_of(z: Tensor, sample: Tensor, view: Tensor) -> Pairs:
    """The pairs of two-views from rows that say themselves what they are."""
    rows = Embeddings.of(z, sample=sample, view=view)
    return Pairs(rows, rows, same("sample") & ~same("view"), ~same("sample"))


def complete(z: Tensor, views: int) -> Pairs:
    """Row v M + i is view v of instance i."""
    m = len(z) // views
    return pairs_of(z, torch.arange(m).repeat(views), torch.arange(views).repeat_interleave(m))


def some_lacking() -> tuple[Tensor, Tensor]:
    """(sample, view) of 13 shuffled rows: four instances of 2 to 4 views, and instance 9 with one."""
    have = {3: (0, 1, 2, 3), 5: (0, 1, 3), 7: (1, 2, 3), 8: (0, 2), 9: (1,)}
    rows = [(sample, view) for sample, views in have.items() for view in views]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(3)).tolist()
    sample, view = zip(*(rows[k] for k in order), strict=True)
    return torch.tensor(sample), torch.tensor(view)


@pytest.mark.parametrize("name", WITH_TEMPERATURE)
def test_golden_cases(golden: Golden, run: Make, table: Make, agrees: Make, name: str) -> None:
    """Every multi-view loss of the authors, on tables of views."""
    for case in golden(name):
        z, views = case["in_z"].clone().requires_grad_(), case.meta["params"]["V"]
        names = [f"view {v}" for v in range(views)]
        tables = {view: table(part) for view, part in zip(names, z.chunk(views), strict=True)}
        term = run(WITH_TEMPERATURE[name](case.meta["params"]["tau"]), TwoViews(names), **tables)
        agrees(term.value, case, z=z)
        assert (term.rows > 0, term.dropped) == (True, 0)


def plain(name: str, z: Tensor, sample: Tensor, view: Tensor, t: float) -> tuple[Tensor, int]:
    """(loss, terms that count) by loops over instances, rows and views."""
    e = (nn.functional.normalize(z, dim=1) @ nn.functional.normalize(z, dim=1).T / t).exp()
    rows = {int(i): [r for r in range(len(z)) if sample[r] == i] for i in sample.unique()}
    rows = {i: own for i, own in rows.items() if len(own) > 1}
    everyone = range(len(z))

    def within(r: int) -> Tensor:
        return torch.stack([e[r, c] for c in everyone if view[c] == view[r] and sample[c] != sample[r]]).sum()

    def positive(r: int) -> Tensor:
        return torch.stack([e[r, p] for p in everyone if sample[p] == sample[r] and p != r]).sum()

    losses = []
    for own in rows.values():
        both = torch.stack([e[r, p] for r, p in combinations(own, 2)]).sum()
        if name == "mv_dhel":
            losses.append(torch.stack([within(r).log() for r in own]).sum() - both.log())
        elif name.startswith("mv_infonce"):
            code = name == "mv_infonce"
            energy = [e[r, c] for r in own for c in everyone if (c != r if code else view[c] != view[r])]
            losses.append(torch.stack(energy).sum().log() - (2 * both).log())
        else:
            for r in own:
                spread = torch.stack([within(q).log() for q in own]).sum()
                others = torch.stack([e[r, c] for c in everyone if view[c] != view[r]]).sum().log()
                losses.append((others if name == "cl1" else spread) - positive(r).log())
    return torch.stack(losses).mean(), len(losses)


LOOPED = {
    "mv_infonce": MVInfoNCE(temperature=0.3),
    "mv_infonce_other_views": MVInfoNCE(temperature=0.3, same_view_negatives=False),
    "mv_dhel": MVDHEL(temperature=0.3),
    "cl1": CL1(temperature=0.3),
    "cl2": CL2(temperature=0.3),
}


@pytest.mark.parametrize("name", LOOPED)
def test_instances_that_lack_views(on: Make, rows: Make, name: str) -> None:
    """Sums are over the views there are, in any order of rows; an instance with one view is dropped."""
    sample, view = some_lacking()
    z = rows(len(sample))
    term = on(LOOPED[name], pairs_of(z, sample, view))
    expected, counted = plain(name, z, sample, view, 0.3)
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, theirs = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert (term.rows, term.dropped) == (counted, 1)


@pytest.mark.parametrize("name", LOOPED)
def test_tiles_equal_loops(on: Make, rows: Make, name: str) -> None:
    """330 rows of three views: more pairs than are computed at once."""
    z = rows(330, 6)
    pairs = complete(z, 3)
    e = (nn.functional.normalize(z, dim=1) @ nn.functional.normalize(z, dim=1).T / 0.3).exp()
    apart = pairs.anchors["sample"][:, None] != pairs.anchors["sample"]
    within = pairs.anchors["view"][:, None] == pairs.anchors["view"]
    own = (e * (~apart & ~within)).sum(1).reshape(3, 110)
    if name in ("mv_dhel", "cl2"):
        spread = (e * (apart & within)).sum(1).log().reshape(3, 110).sum(0)
        expected = spread - (own.sum(0) / 2 if name == "mv_dhel" else own).log()
    elif name == "cl1":
        expected = (e * ~within).sum(1).reshape(3, 110).log() - own.log()
    else:
        met = apart | ~within if name == "mv_infonce" else ~within
        expected = (e * met).sum(1).reshape(3, 110).sum(0).log() - own.sum(0).log()
    value = on(LOOPED[name], pairs).value
    torch.testing.assert_close(value, expected.mean(), rtol=1e-10, atol=1e-12)
    ours, theirs = torch.autograd.grad(value, z), torch.autograd.grad(expected.mean(), z)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_order_of_rows_and_names_of_views_change_nothing(on: Make, rows: Make) -> None:
    """Rows are told apart by their columns alone."""
    z = rows(20).detach()
    sample, view = torch.arange(5).repeat(4), torch.arange(4).repeat_interleave(5)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    renamed = torch.tensor([70, -3, 2**61, 5])
    for name, make in WITH_TEMPERATURE.items():
        expected = on(make(0.5), pairs_of(z, sample, view)).value
        found = on(make(0.5), pairs_of(z[order], 9 - sample[order], renamed[view][order])).value
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12, msg=name)


def ideal(m: int, n: int, t: float) -> tuple[float, float]:
    """(MV-DHEL, MV-InfoNCE) where the n views of each of m instances coincide on a regular simplex."""
    s = -1 / (m - 1)
    dhel = n * math.log(m - 1) + n * s / t - 1 / t - math.log(n * (n - 1) / 2)
    apart, alike = n * (m - 1) * math.exp(s / t), (n - 1) * math.exp(1 / t)
    return dhel, math.log((apart + alike) / alike)


def test_value_at_the_ideal_configuration(on: Make) -> None:
    """All views of an instance equal, instances on a regular simplex: the values of the theory."""
    m, n = 8, 4
    simplex = torch.eye(m, dtype=torch.float64) - 1 / m
    pairs = complete(simplex.repeat(n, 1), n)
    dhel, infonce = ideal(m, n, 0.5)
    assert float(on(MVDHEL(temperature=0.5), pairs).value) == pytest.approx(dhel, abs=1e-12)
    assert float(on(MVInfoNCE(temperature=0.5), pairs).value) == pytest.approx(infonce, abs=1e-12)


@pytest.mark.parametrize("which", [0, 1])
def test_free_points_descend_to_the_ideal_configuration(on: Make, rows: Make, which: int) -> None:
    """8 instances of 4 views in 16 dimensions end at the simplex, from a random start."""
    objective = (MVDHEL(temperature=0.5), MVInfoNCE(temperature=0.5))[which]
    z = rows(32, 16, seed=4)
    pairs = complete(z, 4)
    optimiser = torch.optim.LBFGS([z], max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def closure() -> Tensor:
        optimiser.zero_grad()
        value: Tensor = on(objective, pairs).value
        value.backward()
        return value

    start = float(on(objective, pairs).value.detach())
    optimiser.step(closure)
    end = float(on(objective, pairs).value.detach())
    best = ideal(8, 4, 0.5)[which]
    assert start > best + 0.1
    assert end == pytest.approx(best, abs=1e-4)
    unit = nn.functional.normalize(z.detach(), dim=1)
    assert float((unit.reshape(4, 8, 16) - unit[:8]).abs().max()) < 0.02


def test_many_views_at_a_low_temperature_stay_finite(on: Make, rows: Make) -> None:
    """A product of eight denominators of e^14 and more would overflow float32; the sum of logarithms does not."""
    z = rows(8 * 40).detach().float().requires_grad_()
    term = on(MVDHEL(temperature=0.02), complete(z, 8))
    term.value.backward()
    assert term.value.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()


EVERY = {**{name: make(0.5) for name, make in WITH_TEMPERATURE.items()}, "arithmetic": PolyView(mean="arithmetic")}


@pytest.mark.parametrize("name", EVERY)
def test_views_that_share_no_instance(on: Make, rows: Make, name: str) -> None:
    """Nobody has a positive: zero with a zero gradient, everyone dropped."""
    z = rows(6)
    term = on(EVERY[name], pairs_of(z, torch.arange(6), torch.arange(6) % 2))
    term.value.backward()
    assert (float(term.value.detach()), term.rows, term.dropped) == (0.0, 0, 6)
    assert z.grad is not None
    assert not z.grad.any()


@pytest.mark.parametrize("objective", [MVDHEL(), CL2(), DHEL()])
def test_a_single_instance_has_nothing_to_spread(on: Make, rows: Make, objective: Objective) -> None:
    """Without negatives in any view the decoupled losses drop all; no infinity comes through."""
    z = rows(3)
    term = on(objective, pairs_of(z, torch.zeros(3, dtype=torch.long), torch.arange(3)))
    term.value.backward()
    assert (float(term.value.detach()), term.rows) == (0.0, 0)
    assert z.grad is not None
    assert not z.grad.any()


@pytest.mark.parametrize("name", EVERY)
def test_equal_rows_have_finite_gradients(on: Make, rows: Make, name: str) -> None:
    """All views of an instance, and even two instances, may coincide."""
    base = rows(4).detach()
    base[1] = base[0]
    z = base.repeat(3, 1).requires_grad_()
    term = on(EVERY[name], complete(z, 3))
    term.value.backward()
    assert term.value.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("name", ["mv_infonce", "mv_dhel", "cl1", "cl2", "pvc_geometric", "arithmetic", "mv_dhel_pwe"])
def test_a_diverged_row_does_not_pass_for_a_dropped_one(on: Make, rows: Make, name: str) -> None:
    """NaN in a row reaches the loss, where a run stops; it is not counted as a row without positives."""
    z = rows(9).detach()
    z[2] = torch.nan
    assert on(EVERY[name], complete(z, 3)).value.isnan()


def test_weighted_negatives(on: Make, rows: Make) -> None:
    """A negative of weight 2 counts twice in the energies; one of weight 0 never."""
    z, m = rows(8), 4
    pairs = complete(z, 2)
    weight = torch.rand(8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weight = (weight + 0.5) * (pairs.anchors["sample"][:, None] != pairs.anchors["sample"])
    weight[0, 1] = 0
    weighted = Pairs(pairs.anchors, pairs.candidates, pairs.positives, dense(weight))
    unit = nn.functional.normalize(z, dim=1)
    e = (unit @ unit.T / 0.5).exp()
    within = pairs.anchors["view"][:, None] == pairs.anchors["view"]
    own = (unit[:m] * unit[m:]).sum(1) / 0.5
    spread = (e * weight * within).sum(1).log().reshape(2, m).sum(0)
    torch.testing.assert_close(on(MVDHEL(temperature=0.5), weighted).value, (spread - own).mean())
    energy = (e * weight).sum(1).reshape(2, m).sum(0) + 2 * own.exp()
    expected = (energy.log() - own - math.log(2)).mean()
    torch.testing.assert_close(on(MVInfoNCE(temperature=0.5), weighted).value, expected)


def test_missing_columns_and_views_are_named(on: Make, rows: Make) -> None:
    """What is missing, and what would add it."""
    z = rows(4)
    for columns, objective, message in (
        ({"sample": torch.arange(4)}, DHEL(), "column 'view', which the table lacks.*two-views"),
        ({"sample": torch.arange(4)}, MVDHEL(), "needs the column 'view'"),
        ({"view": torch.arange(4)}, MVInfoNCE(), "column 'sample', which this table lacks: z, view"),
        ({"sample": torch.arange(4), "view": 1}, PairwiseViews(InfoNCE()), "at least two views.*holds 1"),
    ):
        table = Embeddings.of(z, **columns)
        with pytest.raises(ValueError, match=message):
            on(
                objective,
                Pairs(table, table, edges(torch.tensor([0]), torch.tensor([1])), ~edges(*torch.eye(2).long())),
            )


def test_bad_arguments() -> None:
    """One sentence each, when the objective is made."""
    with pytest.raises(ValueError, match="must be positive"):
        MVDHEL(temperature=0)
    with pytest.raises(ValueError, match="'geometric' or 'arithmetic', not 'harmonic'"):
        PolyView(mean="harmonic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must read the pairs 'pairs' too, but it reads others; give both one name"):
        PairwiseViews(InfoNCE(pairs="others"))


@pytest.mark.parametrize("similarity", [None, Dot()])
def test_second_derivatives_are_exact(on: Make, rows: Make, similarity: Any) -> None:
    """Segments are ordinary autograd: a gradient of a gradient equals finite differences."""
    pairs = complete(rows(6, 3), 2)

    def loss(z: Tensor) -> Tensor:
        table = Embeddings.of(z, **pairs.anchors.columns)
        value: Tensor = on(MVDHEL(similarity=similarity), Pairs(table, table, pairs.positives, pairs.negatives)).value
        return value

    assert torch.autograd.gradgradcheck(loss, (rows(6, 3),))
