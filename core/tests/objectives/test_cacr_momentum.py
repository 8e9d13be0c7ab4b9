"""CACR with a momentum encoder: golden cases, loops, and what it is for two views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs, Term
from contrast_core.objectives.cacr import CACR
from contrast_core.objectives.cacr_momentum import MomentumCACR
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.pairs import Pairs
from contrast_core.relations import same
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.teacher import TeacherQueue, TeacherViews

Golden = Callable[[str], list[Any]]
Make = Callable[..., Any]


class Remembered(nn.Module):
    """A memory that gives one table."""

    def __init__(self, table: Embeddings):
        super().__init__()
        self.table = table

    def read(self) -> Embeddings:
        """The table."""
        return self.table


def test_with_a_queue_as_in_moco(rows: Make) -> None:
    """Three views against the teacher's, a queue, and the batch's own view; weights without gradient."""
    q, k, queue = rows(12, seed=1), rows(12, seed=2), rows(5, seed=3).detach()
    flow: dict[str, Any] = {"queue": Remembered(Embeddings.of(queue, sample=-torch.ones(5, dtype=torch.long)))}
    for v, name in enumerate("abc"):
        flow[name] = Embeddings.of(q[4 * v : 4 * v + 4], sample=torch.arange(4))
        flow[f"{name}-teacher"] = Embeddings.of(k[4 * v : 4 * v + 4], sample=torch.arange(4))
    objective = CACR(alpha=3.0, beta=2.0, tau_neg=2.0, detach_weights=True, negatives="all")
    found: Mapping[str, Term] = objective(Outputs({}, TeacherQueue("abc")(flow), {}))
    x, y, m = (nn.functional.normalize(t, dim=1) for t in (q, k.detach(), queue))
    attraction, repulsion = [], []
    for r in range(12):
        v, i = divmod(r, 4)
        own = torch.stack([(x[r] - y[4 * w + i]).square().sum() for w in range(3) if w != v])
        batch = [(x[r] - x[4 * v + j]).square().sum() for j in range(4) if j != i]
        others = torch.stack([*[(x[r] - row).square().sum() for row in m], *batch])
        attraction.append(3 * (torch.softmax(own, 0).detach() * own).sum())
        repulsion.append(-2 * (torch.softmax(-2 * others, 0).detach() * others).sum())
    for term, values in zip(found.values(), (attraction, repulsion), strict=True):
        expected = torch.stack(values).mean()
        torch.testing.assert_close(term.value, expected)
        ours, theirs = (torch.autograd.grad(value, q, retain_graph=True) for value in (term.value, expected))
        torch.testing.assert_close(ours, theirs)
    (of_keys,) = torch.autograd.grad(found["attraction"].value, k, allow_unused=True)
    assert of_keys is None


@pytest.mark.parametrize("cost", ["rbf", "euclidean"])
def test_golden_cases_with_a_momentum_encoder(golden: Golden, run: Make, table: Make, agrees: Make, cost: Any) -> None:
    """K views of queries and one view of keys; the authors' euclidean loss is a sum over instances."""
    for case in golden(f"moco_cacr_{cost}loss"):
        q = case["in_q"].clone().requires_grad_()
        names = [f"view {k}" for k in range(len(q))]
        tables = {name: table(x) for name, x in zip(names, q, strict=True)}
        tables |= {"key": table(torch.zeros_like(q[0])[:0], sample=torch.zeros(0, dtype=torch.long))}
        reduction = "sum" if cost == "euclidean" else "mean"
        objective = MomentumCACR(temperature=case.meta["params"]["T"], cost=cost, reduction=reduction)  # type: ignore[arg-type]
        sampler = TeacherViews([*names, "key"], keys=["key"])
        term = run(objective, sampler, **tables, **{"key-teacher": table(case["in_k"])})
        agrees(term.value, case, q=q)
        assert (term.rows, term.dropped) == (q.shape[1], 0)


def momentum_flow(q: Mapping[str, Tensor], k: Mapping[str, Tensor]) -> dict[str, Embeddings]:
    """Tables of student and teacher by view."""
    found = {name: Embeddings.of(x, sample=torch.arange(len(x))) for name, x in q.items()}
    return found | {f"{name}-teacher": Embeddings.of(x, sample=torch.arange(len(x))) for name, x in k.items()}


def test_two_views_with_the_rbf_cost_are_moco_v3(run: Make, rows: Make) -> None:
    """One query for each key has weight 1: 2 t times the mean of InfoNCE in both directions."""
    q = {name: rows(5, seed=seed) for seed, name in enumerate(("one", "two"))}
    k = {name: rows(5, seed=seed) for seed, name in enumerate(("one", "two"), start=5)}
    value = run(MomentumCACR(temperature=0.2), TeacherViews(), **momentum_flow(q, k)).value
    expected = [
        run(InfoNCE(temperature=0.2), Cross(), one=Embeddings.of(q[a], sample=torch.arange(5)),
            two=Embeddings.of(k[b], sample=torch.arange(5))).value
        for a, b in (("one", "two"), ("two", "one"))
    ]  # fmt: skip
    torch.testing.assert_close(value, 2 * 0.2 * (expected[0] + expected[1]) / 2)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("cost", ["rbf", "euclidean"])
def test_every_view_of_keys_against_the_other_views(run: Make, rows: Make, cost: Any, reduction: Any) -> None:
    """Three views of queries, two of keys; the third view's instance 2 is missing, and instance 3 has one view."""
    sizes, t = {"a": 4, "b": 3, "c": 2}, 0.4
    q = {name: rows(size, seed=seed) for seed, (name, size) in enumerate(sizes.items())}
    k = {name: rows(size, seed=seed) for seed, (name, size) in enumerate(sizes.items(), start=5)}
    term = run(MomentumCACR(temperature=t, cost=cost, reduction=reduction), TeacherViews("abc", keys="ab"),
               **momentum_flow(q, k))  # fmt: skip
    unit = {name: nn.functional.normalize(x, dim=1) for name, x in q.items()}
    keys = {name: nn.functional.normalize(x, dim=1) for name, x in k.items()}
    parts, counted = [], 0
    for key in "ab":
        losses = []
        for i in range(sizes[key]):
            own = [unit[v][i] for v in "abc" if v != key and i < sizes[v]]
            if not own:
                continue
            s = torch.stack(own) @ keys[key].T
            weight = torch.softmax((2 - 2 * s[:, i]) / t, 0).detach()
            others = s[:, torch.arange(sizes[key]) != i]
            share = torch.softmax(others / t, 1).detach()
            euclidean = (1 - s[:, i]) - (share * (1 - others)).sum(1)
            rbf = 2 * t * ((s / t).logsumexp(1) - s[:, i] / t)
            losses.append((weight * (rbf if cost == "rbf" else euclidean)).sum())
        counted += len(losses)
        parts.append(torch.stack(losses).mean() if reduction == "mean" else torch.stack(losses).sum())
    expected = torch.stack(parts).mean()
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad(value, list(q.values())) for value in (term.value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert (term.rows, term.dropped) == (counted, 1)


@pytest.mark.parametrize("cost", ["rbf", "euclidean"])
def test_queries_that_meet_no_key(run: Make, rows: Make, cost: Any) -> None:
    """Zero with a zero gradient; a NaN is not taken for it."""
    q, k = rows(3), rows(3, seed=1)
    flow = momentum_flow({"one": q, "two": q}, {})
    flow |= {f"{name}-teacher": Embeddings.of(k, sample=torch.arange(7, 10)) for name in ("one", "two")}
    term = run(MomentumCACR(cost=cost), TeacherViews(), **flow)
    (gradient,) = torch.autograd.grad(term.value, q)
    assert (float(term.value.detach()), term.rows, term.dropped) == (0.0, 0, 6)
    assert not gradient.any()
    broken = torch.full_like(q, torch.nan)
    assert run(MomentumCACR(cost=cost), TeacherViews(), **momentum_flow({"one": broken, "two": q},
               {"one": k, "two": k})).value.isnan()  # fmt: skip


def test_bad_arguments_with_a_momentum_encoder() -> None:
    """Unknown options and a temperature of 0."""
    for options, message in (
        ({"cost": "cosine"}, "cost is 'rbf' or 'euclidean', not 'cosine'"),
        ({"reduction": "max"}, "reduction is 'mean' or 'sum', not 'max'"),
        ({"temperature": 0.0}, "must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            MomentumCACR(**options)


def test_one_view_alone_has_no_positives(on: Make, rows: Make) -> None:
    """Queries and keys of the same view never meet."""
    lone = Embeddings.of(rows(3), sample=torch.arange(3), view=0)
    with pytest.raises(ValueError, match="of one view alone"):
        on(MomentumCACR(), Pairs(lone, lone, same("sample"), ~same("sample")))
