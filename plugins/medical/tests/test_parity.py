"""The authors' losses, values and gradients in float64, through the public objectives."""

from __future__ import annotations

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_medical.objectives import Independence, InformationLess, SepCLR, SpaceAlignment, SpaceUniformity

TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def table(role=None, **fields):
    """A table with roles, all of them targets if none are given."""
    rows = len(next(iter(fields.values())))
    return Embeddings(fields, {"role": torch.ones(rows, dtype=torch.int64) if role is None else role})


def check(value, case, name, **leaves):
    """A value and the gradients of its leaves."""
    torch.testing.assert_close(value, case[name], **TIGHT)
    for leaf, found in zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True):
        torch.testing.assert_close(found, case[f"grad_{leaf}"], **TIGHT)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_alignment_is_the_authors(golden, number):
    """Of unit rows in the common space, of rows as they are in the salient one."""
    case = golden("align_loss")[number]
    given = case["meta"]["params"]
    x, y = case["in_x"].requires_grad_(), case["in_y"].requires_grad_()
    space = "common" if given["normalised"] else "salient"
    scale = given["scale"] or 1.0
    tables = {"one": table(**{space: x * scale}), "two": table(**{space: y * scale})}
    value = SpaceAlignment(space=space, tau=given["tau"])(Outputs(tables, {}, {})).value
    check(value, case, "out_loss", x=x, y=y)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_uniformity_is_the_authors(golden, number):
    """One logarithm outside of the mean, and no row with itself."""
    case = golden("uniform_loss")[number]
    given = case["meta"]["params"]
    x = case["in_x"].requires_grad_()
    space = "common" if given["normalised"] else "salient"
    tables = {"one": table(**{space: x * (given["scale"] or 1.0)})}
    value = SpaceUniformity(views=["one"], space=space, tau=given["tau"])(Outputs(tables, {}, {})).value
    check(value, case, "out_loss", x=x)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_joint_entropy_is_the_authors(golden, number):
    """The logarithm inside of the outer mean, rows with themselves included."""
    case = golden("joint_entropy_loss")[number]
    c, s = case["in_c"].requires_grad_(), case["in_s"].requires_grad_()
    objective = Independence(views=["one"], tau=case["meta"]["params"]["tau"])
    value = objective(Outputs({"one": table(common=c, salient=s)}, {}, {})).value
    check(value, case, "out_loss", c=c, s=s)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_six_terms_and_total_are_the_authors(golden, number):
    """Of both views and both roles, with the gradients of all four heads."""
    case = golden("sepclr_total_loss")[number]
    given = case["meta"]["params"]
    leaves = {name: case[f"in_{name}"].requires_grad_() for name in ("common_1", "common_2", "salient_1", "salient_2")}
    role = case["in_labels"].long()
    tables = {
        view: table(role, common=leaves[f"common_{n}"], salient=leaves[f"salient_{n}"])
        for n, view in ((1, "one"), (2, "two"))
    }
    objective = SepCLR(
        beta=given["salient_term_beta"],
        beta_null=given["salient_reg_beta"],
        independence=given["jem_lambda"],
        uniformity_weight=given["uniformity_weight"],
        tau=given["tau"],
    )
    terms = objective(Outputs(tables, {}, {}))
    names = {
        "common-alignment": "common_align",
        "common-uniformity": "common_uniform",
        "salient-alignment": "salient_align",
        "salient-uniformity": "salient_uniform",
        "null": "salient_reg",
        "independence": "jem",
    }
    # A term of weight zero is not computed.
    assert set(terms) == {name for name in names if name != "independence" or given["jem_lambda"]}
    for name, term in terms.items():
        torch.testing.assert_close(term.value, case[f"out_{names[name]}"], **TIGHT)
    alone = InformationLess(tau=given["tau"])(Outputs(tables, {}, {})).value
    torch.testing.assert_close(alone, case["out_salient_reg"], **TIGHT)
    check(sum(term.weight * term.value for term in terms.values()), case, "out_loss", **leaves)
