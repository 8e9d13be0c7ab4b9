"""The independence terms beside the joint entropy: plain loops, and which gradient goes where."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_medical.shuffled import DensityRatio, MeanDiscrepancy
from contrast_medical.variational import ClubBound, LeaveOneOutBound, PriorBound

ROLES = [0, 1, 1, 0, 1]
FITTED = [ClubBound, PriorBound, LeaveOneOutBound, DensityRatio]


def table(roles, seed=0, width=2):
    """Rows of both spaces in float64 that ask for gradients."""
    generator = torch.Generator().manual_seed(seed)
    fields = {name: torch.randn(len(roles), width, dtype=torch.float64, generator=generator).requires_grad_()
              for name in ("common", "salient")}  # fmt: skip
    return Embeddings(fields, {"sample": torch.arange(len(roles)), "role": torch.tensor(roles)})


def terms_of(kind, rows, **given):
    """The objective, built for these rows in float64, and what it says of them."""
    torch.manual_seed(0)
    objective = kind(["one"], **given)
    objective.prepare({"one": rows})
    objective = objective.double()
    return objective, objective(Outputs({"one": rows}, {}, {}))


def seen(rows):
    """What the terms are computed of: unit common rows, salient rows with the background at the origin."""
    common = torch.nn.functional.normalize(rows["common"].detach(), dim=1)
    return common, rows["salient"].detach() * rows["role"][:, None]


def logarithms(objective, common, salient):
    """log q(s_j | c_i) in place i, j, one number at a time."""
    with torch.no_grad():
        mean, logarithm = objective.gaussian(common)
    count, width = salient.shape
    found = [[0.0] * count for _ in range(count)]
    for i in range(count):
        for j in range(count):
            for k in range(width):
                off = float(salient[j, k] - mean[i, k])
                spread = math.exp(float(logarithm[i, k]))
                found[i][j] -= 0.5 * (off * off / spread + math.log(2 * math.pi * spread))
    return found


@pytest.mark.parametrize("kind", FITTED[:3])
def test_a_variational_bound_is_what_loops_say(kind):
    """vCLUB, vUB and vL1out of the same Gaussian, and its likelihood."""
    rows = table(ROLES)
    objective, terms = terms_of(kind, rows)
    common, salient = seen(rows)
    count = len(ROLES)
    logs = logarithms(objective, common, salient)
    own = sum(logs[i][i] for i in range(count)) / count
    if kind is ClubBound:
        other = sum(map(sum, logs)) / count**2
    elif kind is PriorBound:
        other = -sum(0.5 * (float(x) ** 2 + math.log(2 * math.pi)) for x in salient.flatten()) / count
    else:
        others = [sum(math.exp(logs[j][i]) for j in range(count) if j != i) / (count - 1) for i in range(count)]
        other = sum(map(math.log, others)) / count
    assert terms["penalty"].value.item() == pytest.approx(own - other, rel=1e-10)
    assert terms["likelihood"].value.item() == pytest.approx(-own, rel=1e-10)


def test_the_density_ratio_is_what_loops_say():
    """The mean logit on pairs, and the cross-entropy against pairs half a batch further on."""
    rows = table(ROLES)
    objective, terms = terms_of(DensityRatio, rows)
    common, salient = seen(rows)
    penalty = wrong = 0.0
    for i in range(5):
        with torch.no_grad():
            true = float(objective.discriminator(torch.cat([common[i], salient[i]])[None]))
            false = float(objective.discriminator(torch.cat([common[i], salient[(i + 2) % 5]])[None]))
        penalty += true / 5
        wrong += (math.log(1 + math.exp(-true)) + math.log(1 + math.exp(false))) / 10
    assert terms["penalty"].value.item() == pytest.approx(penalty, rel=1e-10)
    assert terms["discrimination"].value.item() == pytest.approx(wrong, rel=1e-10)


def test_the_mean_discrepancy_is_what_loops_say():
    """The squared distance of the mean feature of pairs from that of shuffled ones, under a product of kernels."""
    rows = table(ROLES)
    value = MeanDiscrepancy(["one"], 0.7)(Outputs({"one": rows}, {}, {})).value
    common, salient = seen(rows)
    total = 0.0
    for i in range(5):
        for j in range(5):
            near = math.exp(-float((common[i] - common[j]).square().sum()) / 1.4)
            for one, two, sign in ((i, j, 1), ((i + 2) % 5, (j + 2) % 5, 1), (i, (j + 2) % 5, -2)):
                total += sign * near * math.exp(-float((salient[one] - salient[two]).square().sum()) / 1.4) / 25
    assert value.item() == pytest.approx(total, rel=1e-9)


def test_the_mean_discrepancy_of_equal_rows_is_zero_and_of_one_space_in_both_is_not():
    """A constant salient space tells nothing of the common one."""
    rows = table([1] * 60)
    outputs = Outputs({"one": rows.with_fields(salient=torch.ones_like(rows["salient"]))}, {}, {})
    assert abs(MeanDiscrepancy(["one"])(outputs).value.item()) < 1e-12
    outputs = Outputs({"one": rows.with_fields(salient=rows["common"])}, {}, {})
    assert MeanDiscrepancy(["one"])(outputs).value.item() > 0.02


@pytest.mark.parametrize("kind", FITTED)
def test_the_penalty_moves_the_rows_alone_and_the_other_term_the_network_alone(kind):
    """One backward pass of both is as two in turn, without a step between."""
    rows = table(ROLES)
    objective, terms = terms_of(kind, rows)
    parameters, leaves = list(objective.parameters()), [rows["common"], rows["salient"]]
    assert parameters
    own = next(term for name, term in terms.items() if name != "penalty")
    of_rows = torch.autograd.grad(terms["penalty"].value, leaves, retain_graph=True)
    assert all(bool(each.abs().sum() > 0) for each in of_rows)
    assert_close(of_rows[1][torch.tensor(ROLES) == 0], torch.zeros(2, 2, dtype=torch.float64))
    assert all(
        each is None
        for each in torch.autograd.grad(terms["penalty"].value, parameters, allow_unused=True, retain_graph=True)
    )
    assert all(bool(each.abs().sum() > 0) for each in torch.autograd.grad(own.value, parameters, retain_graph=True))
    assert all(each is None for each in torch.autograd.grad(own.value, leaves, allow_unused=True))


def test_a_fitted_gaussian_knows_a_channel():
    """s = A c + noise of deviation sigma: vCLUB's closed form is tr(A C A') / sigma^2, and vL1out lies below it."""
    torch.manual_seed(0)
    angle = 2 * math.pi * torch.rand(1000, dtype=torch.float64)
    common = torch.stack([angle.cos(), angle.sin()], 1)
    salient = common @ torch.tensor([[1.0, 0.5], [0.0, 0.8]], dtype=torch.float64).T
    salient = salient + 0.7 * torch.randn(1000, 2, dtype=torch.float64)
    rows = Embeddings({"common": common, "salient": salient}, {"role": torch.ones(1000).long()})
    found = {}
    for kind in (ClubBound, LeaveOneOutBound):
        objective, _ = terms_of(kind, rows, hidden=32)
        optimiser = torch.optim.Adam(objective.parameters(), lr=1e-2)
        for _ in range(200):
            optimiser.zero_grad()
            terms = objective(Outputs({"one": rows}, {}, {}))
            terms["likelihood"].value.backward()
            optimiser.step()
        found[kind] = terms["penalty"].value.item()
    # C = I / 2 on the circle.
    assert found[ClubBound] == pytest.approx(0.5 * (1 + 0.25 + 0.64) / 0.49, rel=0.15)
    # What the true density says of these rows.
    centre = common @ torch.tensor([[1.0, 0.5], [0.0, 0.8]], dtype=torch.float64).T
    logs = -(salient[:, None] - centre).square().sum(2) / 0.98
    others = logs.masked_fill(torch.eye(1000, dtype=torch.bool), -math.inf).logsumexp(1) - math.log(999)
    assert found[LeaveOneOutBound] == pytest.approx(float((logs.diagonal() - others).mean()), rel=0.1)
    assert found[LeaveOneOutBound] < found[ClubBound]


@pytest.mark.parametrize("kind", [*FITTED, MeanDiscrepancy])
def test_a_single_row_gives_zero_and_no_rows(kind):
    """There is nothing to set it against."""
    rows = table([1])
    if kind is MeanDiscrepancy:
        found = {"": kind(["one"])(Outputs({"one": rows}, {}, {}))}
    else:
        _, found = terms_of(kind, rows)
    assert all(term.rows == 0 and term.value.item() == 0 for term in found.values())


@pytest.mark.parametrize("kind", FITTED)
def test_a_layer_of_no_width_is_refused(kind):
    """By name."""
    with pytest.raises(ValueError, match="hidden = 0 must be at least 1"):
        kind(hidden=0)


@pytest.mark.parametrize("kind", [*FITTED, MeanDiscrepancy])
def test_collapsed_and_far_rows_give_finite_gradients(kind):
    """Salient rows all at one place, and others a thousand units away, in float32."""
    for salient in (torch.zeros(8, 2), 1000 * torch.randn(8, 2, generator=torch.Generator().manual_seed(0))):
        rows = Embeddings(
            {"common": torch.randn(8, 2).requires_grad_(), "salient": salient.requires_grad_()},
            {"role": torch.ones(8).long()},
        )
        objective = kind(["one"])
        objective.prepare({"one": rows})
        found = objective(Outputs({"one": rows}, {}, {}))
        terms = found.values() if isinstance(found, dict) else [found]
        sum(term.value for term in terms).backward()
        assert bool(rows["common"].grad.isfinite().all())
        assert bool(rows["salient"].grad.isfinite().all())
