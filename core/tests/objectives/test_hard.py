"""The hardest negatives alone, and losses without a softmax, against the published equations and loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.objectives.hard import HardContrastive, Hardest, HardSimple, Simple
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.pairs import Pairs
from contrast_core.relations import dense, same
from contrast_core.samplers.cross import Cross
from contrast_core.similarity import Dot, Given

Make = Callable[..., Any]


def leaf(tensor: Tensor) -> Tensor:
    """A copy that wants a gradient."""
    return tensor.clone().requires_grad_()


def test_hard_contrastive(golden: Make, run: Make, table: Make, agrees: Make) -> None:
    """The paper's loss with its k hardest negatives."""
    for case in golden("hard_contrastive"):
        params, a, b = case.meta["params"], leaf(case["in_z1"]), leaf(case["in_z2"])
        objective = HardContrastive(temperature=params["tau"], top_k=params["top_k"], similarity=Dot())
        term = run(objective, Cross(), one=table(a), two=table(b))
        gradients = {"grad_a": case["grad_z1_mean"], "grad_b": case["grad_z2_mean"]}
        agrees(term.value, {**case, **gradients}, "loss_mean", a=a, b=b)


def test_which_negatives_are_the_hardest(golden: Make, table: Make) -> None:
    """Their similarities are those of the listed places."""
    for case in golden("hard_contrastive"):
        pairs = Cross()({"one": table(case["in_z1"]), "two": table(case["in_z2"])})["pairs"]
        kept = Hardest(case.meta["params"]["top_k"], None).similarities(pairs, pairs.negatives, Dot())
        expected = (case["in_z1"] @ case["in_z2"].T).gather(1, case["out_hard_idx_sorted"])
        torch.testing.assert_close(kept.sort(1)[0], expected.sort(1)[0], rtol=1e-12, atol=1e-14)


def test_infonce_is_the_row_loss_of_the_paper(golden: Make, run: Make, table: Make, agrees: Make) -> None:
    """The ordinary contrastive loss of the same paper."""
    for case in golden("contrastive_gradients"):
        a, b = leaf(case["in_z1"]), leaf(case["in_z2"])
        objective = InfoNCE(temperature=case.meta["params"]["tau"], similarity=Dot())
        gradients = {"grad_a": case["grad_z1_mean"], "grad_b": case["grad_z2_mean"]}
        mean = {"out_mean": case["out_loss_rows"].mean()}
        agrees(
            run(objective, Cross(), one=table(a), two=table(b)).value, {**case, **gradients, **mean}, "mean", a=a, b=b
        )


def test_simple_and_hard_simple(golden: Make, run: Make, table: Make, agrees: Make) -> None:
    """With lambda = 1."""
    for case in golden("simple_and_hard_simple"):
        params, a, b = case.meta["params"], leaf(case["in_z1"]), leaf(case["in_z2"])
        tables = {"one": table(a), "two": table(b)}
        simple = run(Simple(weight=params["lam"], similarity=Dot()), Cross(), **tables).value
        means = {f"out_{name}": case[f"out_{name}_rows"].mean() for name in ("simple", "hard_simple")}
        agrees(simple, {**case, **means, "grad_a": case["grad_z1_simple_mean"]}, "simple", a=a)
        hard = HardSimple(top_k=params["top_k"], weight=params["lam"], similarity=Dot())
        torch.testing.assert_close(run(hard, Cross(), **tables).value, means["out_hard_simple"], rtol=1e-10, atol=1e-12)


def loops(z: Tensor, positive: list[list[int]], negative: list[list[int]], k: int, t: float) -> dict[str, Tensor]:
    """All three by the book."""
    unit = torch.nn.functional.normalize(z, dim=1)
    s = unit @ unit.T
    losses: dict[str, list[Tensor]] = {"hard": [], "simple": [], "hard simple": []}
    for i, (own, others) in enumerate(zip(positive, negative, strict=True)):
        if not own:
            continue
        pull = torch.stack([s[i, p] for p in own]).mean()
        hard = sorted(others, key=lambda j: -s[i, j].item())[:k]
        total = sum(torch.exp(s[i, j] / t) for j in [*own, *hard])
        losses["hard"].append(torch.log(torch.as_tensor(total)) - pull / t)
        for name, kept in (("simple", others), ("hard simple", hard)):
            if kept:
                losses[name].append(torch.stack([s[i, j] for j in kept]).mean() - pull)
    return {name: torch.stack(each).mean() for name, each in losses.items()}


def test_all_three_equal_loops_and_default_weights_balance(on: Make, rows: Make) -> None:
    """Several positives, unequal numbers of negatives, a row without either."""
    z = rows(7)
    relation = torch.zeros(7, 7, dtype=torch.long)
    for i, j in ((0, 1), (0, 2), (1, 0), (2, 5), (3, 4), (5, 6)):
        relation[i, j] = 1
    for i, j in ((0, 3), (0, 4), (0, 6), (1, 2), (1, 3), (1, 4), (1, 5), (2, 0), (3, 1), (4, 2), (4, 6)):
        relation[i, j] = 2
    table = Embeddings.of(z)
    pairs = Pairs(table, table, dense(relation == 1), dense(relation == 2))
    lists = [[[j for j in range(7) if relation[i, j] == kind] for i in range(7)] for kind in (1, 2)]
    expected = loops(z, lists[0], lists[1], 2, 0.4)
    found = {
        "hard": HardContrastive(temperature=0.4, top_k=2),
        "simple": Simple(),
        "hard simple": HardSimple(top_k=2),
    }
    for name, objective in found.items():
        term = on(objective, pairs)
        torch.testing.assert_close(term.value, expected[name], rtol=1e-12, atol=1e-12)
        ours, theirs = (torch.autograd.grad(x, z, retain_graph=True)[0] for x in (term.value, expected[name]))
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        assert term.rows + term.dropped == 7


def test_a_fraction_of_all_is_infonce_and_ties_keep_exactly_k(run: Make, table: Make, rows: Make) -> None:
    """Rounded, at least one; equal rows are cut off at k."""
    tables = {"one": table(rows(6, seed=1)), "two": table(rows(6, seed=2))}
    whole = run(HardContrastive(temperature=0.3, fraction=1.0), Cross(), **tables)
    torch.testing.assert_close(whole.value, run(InfoNCE(temperature=0.3), Cross(), **tables).value)
    equal = torch.ones(5, 3, dtype=torch.float64)
    pairs = Pairs(Embeddings.of(equal, sample=torch.arange(5)), Embeddings.of(equal, sample=torch.arange(5)),
                  same("sample"), ~same("sample"))  # fmt: skip
    assert int(Hardest(2, None).similarities(pairs, pairs.negatives, Dot()).isfinite().sum()) == 10
    assert int(Hardest(None, 0.1).similarities(pairs, pairs.negatives, Dot()).isfinite().sum()) == 5


def test_in_blocks_they_equal_the_dense_formula(run: Make, table: Make, rows: Make) -> None:
    """At 300 by 300 pairs the engine works in blocks; a tenth of 299 negatives is 30."""
    one, two, n, k = rows(300, seed=1), rows(300, seed=2), 300, 30
    tables = {"one": table(one), "two": table(two)}
    unit = [torch.nn.functional.normalize(x, dim=1) for x in (one, two)]
    s = unit[0] @ unit[1].T
    others = s.masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
    hard = others.topk(k, dim=1)[0]
    own = s.diagonal()
    expected = {
        HardContrastive(temperature=0.5, fraction=0.1): torch.cat([own[:, None], hard], 1).div(0.5).logsumexp(1)
        - own / 0.5,
        Simple(): (s.sum(1) - own) / (n - 1) - own,
        HardSimple(fraction=0.1): hard.mean(1) - own,
    }
    for objective, losses in expected.items():
        found, mean = run(objective, Cross(), **tables).value, losses.mean()
        torch.testing.assert_close(found, mean, rtol=1e-10, atol=1e-12)
        for ours, theirs in zip(
            *(torch.autograd.grad(x, (one, two), retain_graph=True) for x in (found, mean)), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_the_gradient_of_similarities_is_that_of_the_paper(golden: Make, on: Make) -> None:
    """dL/ds, through similarities that are given: P / t, and the penalties of negatives relative to the positive's."""
    for case in golden("contrastive_gradients"):
        n, t = len(case["in_z1"]), case.meta["params"]["tau"]
        s = leaf(case["out_s"])
        rows = torch.arange(n)
        anchors, candidates = Embeddings({"scores": s}, {"sample": rows}), Embeddings({"z": s.T}, {"sample": rows})
        objective = InfoNCE(temperature=t, similarity=Given())
        value = on(objective, Pairs(anchors, candidates, same("sample"), ~same("sample"))).value
        gradient = torch.autograd.grad(value * n, s)[0]
        torch.testing.assert_close(gradient, case["out_dL_ds"], rtol=1e-10, atol=1e-12)
        penalties = (gradient / -gradient.diagonal()[:, None]).fill_diagonal_(0.0)
        torch.testing.assert_close(penalties, case["out_r"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HardContrastive(), "either by top_k or by fraction"),
        (lambda: HardContrastive(top_k=2, fraction=0.5), "either by top_k or by fraction"),
        (lambda: HardSimple(top_k=0), "at least 1, not 0"),
        (lambda: HardSimple(fraction=1.5), r"in \(0, 1\], not 1.5"),
        (lambda: Simple(weight=-1.0), "must not be negative, as -1.0 is"),
    ],
)
def test_bad_arguments(make: Callable[[], object], message: str) -> None:
    """One sentence each."""
    with pytest.raises(ValueError, match=message):
        make()
