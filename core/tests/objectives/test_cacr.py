"""CACR: golden cases, loops, weights, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs, PairSampler, Term
from contrast_core.objectives.cacr import CACR
from contrast_core.pairs import Pairs
from contrast_core.relations import edges, same
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.views import TwoViews

Golden = Callable[[str], list[Any]]
Make = Callable[..., Any]


def terms(objective: CACR, sampler: PairSampler, flow: Mapping[str, Any]) -> Mapping[str, Term]:
    """The two terms of CACR on tables."""
    found: Mapping[str, Term] = objective(Outputs({}, sampler(flow), {}))
    assert list(found) == ["attraction", "repulsion"]
    return found


def on_views(objective: CACR, z: Tensor) -> Mapping[str, Term]:
    """The same on z, (V, M, d)."""
    names = [f"view {v}" for v in range(len(z))]
    tables = {name: Embeddings.of(x, sample=torch.arange(len(x))) for name, x in zip(names, z, strict=True)}
    return terms(objective, TwoViews(names), tables)


CHOICES: dict[str, dict[str, Any]] = {
    "full": {},
    "full_debiased": {},
    "without_w1": {"weighting": "uniform_attraction"},
    "without_w2": {"weighting": "uniform_repulsion"},
}


@pytest.mark.parametrize("name", ["full", "without_w1"])
def test_golden_cases_of_attraction(golden: Golden, agrees: Make, name: str) -> None:
    """Softmax or uniform weights over an anchor's positives; the authors expect unit rows."""
    for case in golden(f"attraction_{name}"):
        params, z = case.meta["params"], case["in_z"].clone().requires_grad_()
        objective = CACR(alpha=params["alpha"], tau_pos=params["tau_pos"], normalise=False, **CHOICES[name])
        term = on_views(objective, z)["attraction"]
        agrees(term.value, case, z=z)
        assert (term.rows, term.dropped) == (len(z) * z.shape[1], 0)


@pytest.mark.parametrize("name", ["full", "full_debiased", "without_w2"])
def test_golden_cases_of_repulsion(golden: Golden, agrees: Make, name: str) -> None:
    """One softmax for each anchor and each later view."""
    for case in golden(f"repulsion_{name}"):
        params, z = case.meta["params"], case["in_z"].clone().requires_grad_()
        tau_plus = params["tau_plus"] if params["with_debiased"] else 0.0
        settings = {"beta": params["beta"], "tau_neg": params["tau_neg"], "tau_plus": tau_plus, **CHOICES[name]}
        term = on_views(CACR(normalise=False, **settings), z)["repulsion"]
        agrees(term.value, case, z=z)
        assert (term.rows, term.dropped) == (len(z) * (len(z) - 1) // 2 * z.shape[1], 0)


def test_golden_cases_of_rbf_repulsion(golden: Golden, agrees: Make) -> None:
    """The logarithm of the mean kernel, one pair of views."""
    for case in golden("repulsion_rbf_pair"):
        params, x, y = case.meta["params"], case["in_z_x"].clone(), case["in_z_y"].clone()
        objective = CACR(
            beta=params["beta"], tau_neg=params["tau_neg"], t=params["t"], cost="rbf", normalise=False
        )  # fmt: skip
        x.requires_grad_()
        y.requires_grad_()
        tables = {name: Embeddings.of(z, sample=torch.arange(len(z))) for name, z in (("one", x), ("two", y))}
        agrees(terms(objective, TwoViews(), tables)["repulsion"].value, case, z_x=x, z_y=y)


def loops(z: Tensor, sample: Tensor, view: Tensor, weighting: str, **given: Any) -> tuple[Tensor, Tensor]:
    """(attraction, repulsion) row by row, for rows of unit length or not."""
    options = {"alpha": 1.3, "beta": 0.7, "tau_pos": 1.5, "tau_neg": 2.5, "detach": False, "rbf": False} | given
    d = torch.stack([(z - row).square().sum(1) for row in z])

    def mean(values: Tensor, logits: Tensor, uniform: bool) -> Tensor:
        w = torch.softmax(logits, 0)
        return values.mean() if uniform else ((w.detach() if options["detach"] else w) * values).sum()

    attraction, repulsion = [], []
    for r in range(len(z)):
        own = d[r, (sample == sample[r]) & (view != view[r])]
        if len(own):
            uniform = weighting in ("uniform_attraction", "none")
            attraction.append(options["alpha"] * mean(own, options["tau_pos"] * own, uniform))
    for one, two in combinations(dict.fromkeys(view.tolist()), 2):
        part = []
        for r in (view == one).nonzero().flatten().tolist():
            others = d[r, (view == two) & (sample != sample[r])]
            if len(others):
                cost = torch.exp(-2 * others) if options["rbf"] else -options["beta"] * others
                part.append(mean(cost, -options["tau_neg"] * others, weighting in ("uniform_repulsion", "none")))
        average = torch.stack(part).mean()
        repulsion.append(options["beta"] * average.log() if options["rbf"] else average)
    return torch.stack(attraction).mean(), torch.stack(repulsion).mean()


def some_lacking() -> tuple[Tensor, Tensor]:
    """(sample, view) of ten rows of three views in no order; instances lack views, number 9 has a single one."""
    return torch.tensor([4, 4, 7, 2, 7, 2, 4, 9, 5, 5]), torch.tensor([1, 0, 1, 2, 0, 1, 2, 0, 2, 0])


def shuffled(z: Tensor) -> Pairs:
    """The pairs of these ten rows."""
    sample, view = some_lacking()
    rows = Embeddings.of(z, sample=sample, view=view)
    return Pairs(rows, rows, same("sample") & ~same("view"), ~same("sample"))


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("cost", ["euclidean", "rbf"])
@pytest.mark.parametrize("weighting", ["full", "uniform_attraction", "uniform_repulsion", "none"])
def test_instances_that_lack_views(rows: Make, weighting: Any, cost: Any, detach: bool) -> None:
    """All weightings by loops; the order of views is that of their first rows."""
    z = rows(10, 4)
    objective = CACR(
        alpha=1.3, beta=0.7, tau_pos=1.5, tau_neg=2.5, weighting=weighting, cost=cost, detach_weights=detach
    )  # fmt: skip
    found = objective(Outputs({}, {"pairs": shuffled(z)}, {}))
    unit = nn.functional.normalize(z, dim=1)
    expected = loops(unit, *some_lacking(), weighting, detach=detach, rbf=cost == "rbf")
    for term, value in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(term.value, value, rtol=1e-12, atol=1e-12)
        ours, theirs = (torch.autograd.grad(x, z, retain_graph=True) for x in (term.value, value))
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert (found["attraction"].rows, found["attraction"].dropped) == (9, 1)
    assert (found["repulsion"].rows, found["repulsion"].dropped) == (10, 0)


def test_tiles_equal_the_whole_matrix() -> None:
    """Two views of 300 rows: more pairs than are computed at once."""
    generator = torch.Generator().manual_seed(7)
    z = torch.randn(2, 300, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    found = on_views(CACR(tau_neg=2.0, detach_weights=False), z)
    x, y = nn.functional.normalize(z, dim=2)
    d = (2 - 2 * x @ y.T).masked_fill(torch.eye(300, dtype=torch.bool), 1e9)
    expected = -(torch.softmax(-2.0 * d, 1) * d).sum(1).mean()
    torch.testing.assert_close(found["repulsion"].value, expected, rtol=1e-10, atol=1e-12)
    ours, theirs = (torch.autograd.grad(v, z, retain_graph=True) for v in (found["repulsion"].value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found["attraction"].value, (x - y).square().sum(1).mean(), rtol=1e-10, atol=1e-12)


def test_one_softmax_over_all_negatives(rows: Make) -> None:
    """With negatives="all" the negatives of every view compete, the row's own view included."""
    z, (sample, _) = rows(10, 4), some_lacking()
    unit = nn.functional.normalize(z, dim=1)
    d = 2 - 2 * unit @ unit.T
    expected = []
    for r in range(10):
        others = d[r, sample != sample[r]]
        expected.append(-(torch.softmax(-0.9 * others, 0) * others).sum())
    found = CACR(negatives="all")(Outputs({}, {"pairs": shuffled(z)}, {}))["repulsion"]
    torch.testing.assert_close(found.value, torch.stack(expected).mean())


def test_gradient_through_weights_by_its_formula(rows: Make) -> None:
    """dR/dD_j = -r_j (1 - tau (D_j - mean D)), and -r_j with detached weights: a far negative is pulled in."""
    anchor, others = torch.zeros(1, 4, dtype=torch.float64), rows(5, 4)
    d = others.detach().square().sum(1)
    share = torch.softmax(-0.3 * d, 0)
    for detach in (False, True):
        objective = CACR(tau_neg=0.3, detach_weights=detach, negatives="all", normalise=False)
        tables = {
            "one": Embeddings.of(anchor, sample=torch.tensor([9])),
            "two": Embeddings.of(others, sample=torch.arange(5)),
        }
        value = terms(objective, Cross(), tables)["repulsion"].value
        slope = -share * (1 if detach else 1 - 0.3 * (d - (share * d).sum()))
        (found,) = torch.autograd.grad(value, others)
        torch.testing.assert_close(found, slope[:, None] * 2 * others.detach())
    assert bool((d - (share * d).sum() > 1 / 0.3).any())


def test_one_positive_is_plain_alignment_and_terms_are_bounded(rows: Make) -> None:
    """The softmax over one element is 1; attraction is in [0, 4 alpha], repulsion in [-4 beta, 0]."""
    z = rows(12).reshape(2, 6, 8)
    unit = nn.functional.normalize(z, dim=2)
    found = on_views(CACR(alpha=2.0, beta=3.0), z)
    torch.testing.assert_close(found["attraction"].value, 2 * (unit[0] - unit[1]).square().sum(1).mean())
    opposite = torch.eye(2, dtype=torch.float64)[[0, 0]] * torch.tensor([[1.0], [-1.0]])
    far = on_views(CACR(alpha=2.0, beta=3.0), torch.stack([opposite, -opposite]))
    assert float(far["attraction"].value) == pytest.approx(8.0)
    assert float(far["repulsion"].value) == pytest.approx(0.0)
    assert float(on_views(CACR(beta=3.0), opposite.repeat(2, 1, 1))["repulsion"].value) == pytest.approx(-12.0)


def test_rows_that_coincide_have_finite_gradients(rows: Make) -> None:
    """All views equal: distances of zero, with and without normalisation."""
    for normalise in (True, False):
        z = rows(4).detach().repeat(3, 1).reshape(3, 4, 8).requires_grad_()
        found = on_views(CACR(normalise=normalise), z)
        (gradient,) = torch.autograd.grad(found["attraction"].value + found["repulsion"].value, z)
        assert gradient.isfinite().all()
        assert float(found["attraction"].value.detach()) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("options", [{}, {"cost": "rbf"}, {"tau_plus": 0.1}, {"negatives": "all"}])
def test_nobody_to_attract_or_to_repel(rows: Make, options: dict[str, Any]) -> None:
    """Zero with a zero gradient: no positives at all, or a single instance."""
    z = rows(4)
    for sample, name in ((torch.arange(4), "attraction"), (torch.zeros(4, dtype=torch.long), "repulsion")):
        table = Embeddings.of(z, sample=sample, view=torch.arange(4))
        pairs = Pairs(table, table, same("sample") & ~same("view"), ~same("sample"))
        term = CACR(**options)(Outputs({}, {"pairs": pairs}, {}))[name]
        (gradient,) = torch.autograd.grad(term.value, z)
        assert (float(term.value.detach()), term.rows) == (0.0, 0)
        assert term.dropped > 0
        assert not gradient.any()


def test_debiasing_needs_the_partner(rows: Make) -> None:
    """R - tau+ times the partner's distance, over 1 - tau+; rows without a partner in the other view are dropped."""
    z, (sample, view) = rows(10, 4), some_lacking()
    unit = nn.functional.normalize(z, dim=1)
    parts, counted = [], 0
    for one, two in ((1, 0), (1, 2), (0, 2)):
        part = []
        for r in (view == one).nonzero().flatten().tolist():
            d = (unit - unit[r]).square().sum(1)
            partner, others = (view == two) & (sample == sample[r]), d[(view == two) & (sample != sample[r])]
            if partner.any():
                mean = -2 * (torch.softmax(-0.9 * others, 0) * others).sum()
                part.append((mean - 0.2 * d[partner].mean()) / 0.8)
        counted += len(part)
        parts.append(torch.stack(part).mean())
    term = CACR(beta=2.0, tau_plus=0.2)(Outputs({}, {"pairs": shuffled(z)}, {}))["repulsion"]
    torch.testing.assert_close(term.value, torch.stack(parts).mean())
    assert (term.rows, term.dropped) == (counted, 10 - counted)


def test_diverged_rows_reach_both_terms(rows: Make) -> None:
    """NaN is not counted as a row without positives or negatives."""
    z = rows(12).detach().reshape(3, 4, 8)
    z[0, 1] = torch.nan
    for cost in ("euclidean", "rbf"):
        assert all(term.value.isnan() for term in on_views(CACR(cost=cost), z).values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau_pos": 0.0}, "tau_pos multiplies squared distances and must be positive, not 0"),
        ({"tau_neg": -1.0}, "tau_neg multiplies squared distances"),
        ({"weighting": "without_w1"}, "weighting is one of full, uniform_attraction.*not 'without_w1'"),
        ({"negatives": "some"}, "negatives is one of view_pairs, all, not 'some'"),
        ({"cost": "cosine"}, "cost is one of euclidean, rbf"),
        ({"tau_plus": 1.0}, "from 0 to less than 1"),
        ({"tau_plus": 0.1, "cost": "rbf"}, "leave it 0 with the rbf cost"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    """One sentence each, when the objective is made."""
    with pytest.raises(ValueError, match=message):
        CACR(**options)


def test_what_pairs_of_views_need(on: Make, rows: Make) -> None:
    """A column `view` with two entries, and relations of columns."""
    z = rows(4)
    plain, lone = Embeddings.of(z, sample=torch.arange(4)), Embeddings.of(z, sample=torch.arange(4), view=0)
    own, others = edges(torch.tensor([0]), torch.tensor([1])), ~same("sample")
    with pytest.raises(ValueError, match="column 'view', which the table lacks"):
        on(CACR(), Pairs(plain, plain, own, others))
    with pytest.raises(ValueError, match="at least two views"):
        on(CACR(), Pairs(lone, lone, own, others))
    with pytest.raises(ValueError, match="names rows by number"):
        on(CACR(), shuffled_with(rows(10, 4), own))


def shuffled_with(z: Tensor, positives: Any) -> Pairs:
    """The ten rows with other positives."""
    pairs = shuffled(z)
    return Pairs(pairs.anchors, pairs.candidates, positives, pairs.negatives)
