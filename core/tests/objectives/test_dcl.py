"""DCL and DCLW against their authors' numbers and loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.diagnostics.coupling import coupling, npc_multiplier
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective
from contrast_core.objectives.dclw import DCLW, von_mises_fisher_weights
from contrast_core.objectives.infonce import DCL, InfoNCE
from contrast_core.pairs import Pairs
from contrast_core.relations import dense
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.views import TwoViews
from contrast_core.similarity import Dot

Make = Callable[..., Any]


def leaf(tensor: Tensor) -> Tensor:
    """A copy that wants a gradient."""
    return tensor.clone().requires_grad_()


def made(name: str, params: dict[str, float], **options: Any) -> Objective:
    """DCL or DCLW with a case's settings."""
    if "dclw" in name:
        return DCLW(temperature=params["temperature"], sigma=params["sigma"], **options)
    return DCL(temperature=params["temperature"], similarity=options.get("similarity"))


@pytest.mark.parametrize("name", ["dcl", "dclw"])
def test_the_public_repository(golden: Make, run: Make, table: Make, agrees: Make, name: str) -> None:
    """One direction, and the sum of both: plain products of unit rows, weights with their gradient."""
    for case in golden(name):
        options = {"similarity": Dot(), **({"detach_weights": False} if name == "dclw" else {})}
        objective = made(name, case.meta["params"], **options)
        for way, one, factor in (("one_way", True, 1), ("two_way", False, 2)):
            a, b = leaf(case["in_z1"]), leaf(case["in_z2"])
            term = run(objective, TwoViews(one=one), one=table(a), two=table(b))
            assert (term.rows, term.dropped) == (len(a) * (1 if one else 2), 0)
            gradients = {"grad_a": case[f"grad_z1_{way}"], "grad_b": case[f"grad_z2_{way}"]}
            output = "loss_one_way" if one else "loss_two_way_sum"
            agrees(term.value * factor, {**case, **gradients}, output, a=a, b=b)


def test_the_weights_of_the_public_repository(golden: Make) -> None:
    """From the similarities of the positives; their mean is 1."""
    for case in golden("dclw"):
        weights = von_mises_fisher_weights((case["in_z1"] * case["in_z2"]).sum(1), case.meta["params"]["sigma"])
        torch.testing.assert_close(weights, case["out_weights"], rtol=1e-10, atol=1e-12)
        assert float(weights.mean()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["lightly_dcl", "lightly_dclw"])
def test_lightly(golden: Make, run: Make, table: Make, agrees: Make, name: str) -> None:
    """The mean of both directions, rows scaled inside, weights detached."""
    for case in golden(name):
        a, b = leaf(case["in_out0"]), leaf(case["in_out1"])
        term = run(made(name, case.meta["params"]), TwoViews(), one=table(a), two=table(b))
        agrees(term.value, case, out0=a, out1=b)


def test_decoupling_takes_the_multiplier_away(run: Make, table: Make, rows: Make) -> None:
    """InfoNCE's gradient of an anchor is DCL's times q, which is what its definition says, row by row."""
    one, two = rows(6, seed=1), rows(6, seed=2)
    tables = {"one": table(one), "two": table(two.detach())}
    pairs = Cross()(tables)["pairs"]
    q = npc_multiplier(pairs, temperature=0.5)
    unit = [torch.nn.functional.normalize(x.detach(), dim=1) for x in (one, two)]
    for i in range(6):
        others = sum(float(torch.exp(unit[0][i] @ unit[1][j] / 0.5)) for j in range(6) if j != i)
        own = float(torch.exp(unit[0][i] @ unit[1][i] / 0.5))
        assert float(q[i]) == pytest.approx(others / (others + own), rel=1e-12)
    # Only anchors want a gradient, so that each row's is that of its own loss.
    info, decoupled = (run(o, Cross(), **tables).value for o in (InfoNCE(temperature=0.5), DCL(temperature=0.5)))
    coupled, free = (torch.autograd.grad(value, one)[0] for value in (info, decoupled))
    torch.testing.assert_close(coupled, q[:, None] * free, rtol=1e-10, atol=1e-12)


def test_the_multiplier_of_rows_that_lack_something(rows: Make) -> None:
    """0 without negatives, NaN without positives, and with several positives their sum."""
    a, c = rows(3, seed=1), rows(4, seed=2)
    positives = torch.tensor([[2.0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    negatives = torch.tensor([[0.0, 0, 1, 3], [0, 0, 0, 0], [1, 1, 1, 1]])
    pairs = Pairs(Embeddings.of(a), Embeddings.of(c), dense(positives), dense(negatives))
    q = npc_multiplier(pairs, Dot(), temperature=2.0)
    e = torch.exp(a[0] @ c.T / 2.0)
    others = e[2] + 3 * e[3]
    torch.testing.assert_close(q[0], (others / (others + e[0] + e[1])).detach(), rtol=1e-12, atol=0)
    assert (q[1].item(), q[2].isnan().item()) == (0.0, True)
    with pytest.raises(ValueError, match="must be positive"):
        npc_multiplier(pairs, temperature=0.0)


def test_mean_and_variation_of_multipliers() -> None:
    """Over the known ones; without any, and without a mean, there is no variation."""
    found = coupling(torch.tensor([0.2, torch.nan, 0.6, 1.0]))
    mean = (0.2 + 0.6 + 1.0) / 3
    deviation = math.sqrt(sum((x - mean) ** 2 for x in (0.2, 0.6, 1.0)) / 3)
    assert found == pytest.approx({"npc_mean": mean, "npc_variation": deviation / mean})
    assert math.isnan(coupling(torch.zeros(2))["npc_variation"])
    assert all(math.isnan(number) for number in coupling(torch.tensor([torch.nan])).values())


def test_rows_that_lack_something_are_dropped_and_nan_is_not_hidden(run: Make, table: Make, rows: Make) -> None:
    """Without any negative all rows are dropped; a NaN stays a NaN."""
    for objective in (DCL(), DCLW()):
        lonely = run(objective, TwoViews(), one=table(rows(1)), two=table(rows(1, seed=2)))
        assert (lonely.value.item(), lonely.rows, lonely.dropped) == (0.0, 0, 2)
        broken = rows(4).detach().clone()
        broken[0, 0] = torch.nan
        assert torch.isnan(run(objective, TwoViews(), one=table(broken), two=table(rows(4, seed=2))).value)


def test_a_weight_needs_a_positive_sigma() -> None:
    """One sentence."""
    with pytest.raises(ValueError, match="sigma must be positive, not 0"):
        DCLW(sigma=0)


@pytest.mark.parametrize("detach", [False, True])
def test_weighted_decoupling_in_tiles_equals_the_dense_formula(
    run: Make, table: Make, rows: Make, detach: bool
) -> None:
    """At 600 rows, with small sigma: some weights are below 0, and the least is reported."""
    one, two, n = rows(300, seed=1), rows(300, seed=2), 300
    objective = DCLW(temperature=0.2, sigma=0.3, detach_weights=detach)
    term = run(objective, TwoViews(), one=table(one), two=table(two))
    unit = torch.nn.functional.normalize(torch.cat([one, two]), dim=1)
    s, sample = unit @ unit.T, torch.arange(2 * n) % n
    others = (s / 0.2).masked_fill(sample[:, None] == sample[None], -torch.inf).logsumexp(1)
    own = torch.cat([s.diagonal(n), s.diagonal(-n)])
    weights = 2 - (own / 0.3).exp() / (own / 0.3).exp().mean()
    expected = (others - (weights.detach() if detach else weights) * own / 0.2).mean()
    torch.testing.assert_close(term.value, expected, rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(*(torch.autograd.grad(x, (one, two)) for x in (term.value, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    assert term.scalars["least_weight"] == pytest.approx(float(weights.detach().min()))
