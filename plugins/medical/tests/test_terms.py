"""The terms against plain loops, and in batches that lack a group."""

from __future__ import annotations

import math

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_medical.balance import Balance
from contrast_medical.joint import MutualInformation
from contrast_medical.objective import SepCLR
from contrast_medical.probes import hsic


def tables(roles, seed=0):
    """Two views of as many rows as roles."""
    generator = torch.Generator().manual_seed(seed)
    count = len(roles)
    found = {}
    for view in ("one", "two"):
        fields = {name: torch.randn(count, 3, dtype=torch.float64, generator=generator).requires_grad_()
                  for name in ("common", "salient")}  # fmt: skip
        found[view] = Embeddings(fields, {"sample": torch.arange(count), "role": torch.tensor(roles)})
    return found


def test_mutual_information_is_what_loops_say():
    """H(c) + H(s) - H(c, s), background rows at the origin."""
    found = tables([0, 1, 1, 0, 1])
    value = MutualInformation(["one"], 0.7)(Outputs(found, {}, {})).value
    c, s = (found["one"][name].detach() for name in ("common", "salient"))
    c = [row / row.norm() for row in c]
    s = [row * role for row, role in zip(s, (0, 1, 1, 0, 1), strict=True)]

    def entropy(*spaces):
        total = 0.0
        for i in range(5):
            mean = sum(
                math.prod(math.exp(-float((x[i] - x[j]).square().sum()) / 1.4) for x in spaces) for j in range(5)
            )
            total -= math.log(mean / 5) / 5
        return total

    assert value.item() == pytest.approx(entropy(c) + entropy(s) - entropy(c, s), rel=1e-10)


@pytest.mark.parametrize("role", [0, 1])
def test_a_batch_of_one_group_gives_finite_terms_and_gradients(role):
    """The missing group's terms are 0 with no rows, where the authors' code has NaN."""
    found = tables([role] * 4)
    terms = SepCLR()(Outputs(found, {}, {}))
    absent = terms["salient-null" if role else "salient-align"]
    assert absent.rows == 0
    assert absent.value.item() == 0
    sum(term.weight * term.value for term in terms.values()).backward()
    for table in found.values():
        for field in table.fields.values():
            assert field.grad is None or bool(field.grad.isfinite().all())


def test_lambda_grows_while_one_space_predicts_the_other_and_shrinks_where_it_does_not():
    """Of a bound of a half, with salient rows that are the common ones, and independent ones."""
    generator = torch.Generator().manual_seed(0)
    common, other = (torch.randn(400, 3, generator=generator) for _ in range(2))
    common = torch.nn.functional.normalize(common, dim=1)
    for salient, grows in ((common, True), (other, False)):
        balance = Balance(0.5, start=10.0)
        balance.build(3, 3)
        balance.watch(Embeddings({"common": common, "salient": salient}, {"role": torch.ones(400).long()}))
        balance.move()
        assert (balance.weight > 10) is grows
        assert (balance.cross_prediction > 0.9) is grows


def test_hsic_is_one_for_equal_rows_and_small_for_independent_ones():
    """And 0 where one space is constant."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(200, 2, generator=generator, dtype=torch.float64).numpy() for _ in range(2))
    assert hsic(a, a) == pytest.approx(1)
    assert hsic(a, b) < 0.2
    assert hsic(a, 0 * b) == 0
