"""The authors' losses, values and gradients in float64."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_medical.joint import JointEntropy
from contrast_medical.objective import SepCLR
from contrast_medical.spaces import SpaceAlignment, SpaceUniformity


def close(found, wanted):
    """Equal to 1e-10."""
    assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def table(role=None, **fields):
    """A table of the given fields; all rows are target unless said otherwise."""
    count = len(next(iter(fields.values())))
    role = torch.ones(count, dtype=torch.int64) if role is None else role
    return Embeddings(fields, {"sample": torch.arange(count), "role": role})


def leaves(case, *names):
    """Inputs that ask for gradients."""
    return [case[f"in_{name}"].requires_grad_() for name in names]


def scaled(rows, given):
    """Rows as the case says: as they are where the component normalises, otherwise multiplied."""
    return rows if given["normalised"] else rows * given["scale"]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_alignment_is_the_authors(golden, number):
    """Normalised and not."""
    case = golden("align_loss")[number]
    given = case.meta["params"]
    x, y = leaves(case, "x", "y")
    objective = SpaceAlignment(field="x", temperature=given["tau"], power=given["alpha"], normalise=given["normalised"])
    tables = {"one": table(x=scaled(x, given)), "two": table(x=scaled(y, given))}
    value = objective(Outputs(tables, {}, {})).value
    close(value, case["out_loss"])
    for found, name in zip(torch.autograd.grad(value, (x, y)), "xy", strict=True):
        close(found, case[f"grad_{name}"])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_uniformity_is_the_authors(golden, number):
    """Normalised and not."""
    case = golden("uniform_loss")[number]
    given = case.meta["params"]
    (x,) = leaves(case, "x")
    objective = SpaceUniformity(["one"], "x", temperature=given["tau"], normalise=given["normalised"])
    value = objective(Outputs({"one": table(x=scaled(x, given))}, {}, {})).value
    close(value, case["out_loss"])
    close(torch.autograd.grad(value, x)[0], case["grad_x"])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_joint_entropy_is_the_authors(golden, number):
    """Both gradients."""
    case = golden("joint_entropy_loss")[number]
    c, s = leaves(case, "c", "s")
    objective = JointEntropy(["one"], case.meta["params"]["tau"])
    value = objective(Outputs({"one": table(common=c, salient=s)}, {}, {})).value
    close(value, case["out_loss"])
    for found, name in zip(torch.autograd.grad(value, (c, s)), "cs", strict=True):
        close(found, case[f"grad_{name}"])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_loss_is_the_authors(golden, number):
    """All six terms, their sum, and the gradients of all four heads."""
    case = golden("sepclr_total_loss")[number]
    given = case.meta["params"]
    heads = leaves(case, "common_1", "common_2", "salient_1", "salient_2")
    c1, c2, s1, s2 = heads
    role = case["in_labels"].long()
    tables = {"one": table(role, common=c1, salient=s1), "two": table(role, common=c2, salient=s2)}
    objective = SepCLR(
        target_weight=given["salient_term_beta"],
        background_weight=given["salient_reg_beta"],
        independence_weight=given["jem_lambda"],
        uniformity_weight=given["uniformity_weight"],
        temperature=given["tau"],
    )
    terms = objective(Outputs(tables, {}, {}))
    names = {
        "common-align": "common_align", "common-uniform": "common_uniform", "salient-align": "salient_align",
        "salient-uniform": "salient_uniform", "salient-null": "salient_reg", "independence": "jem",
    }  # fmt: skip
    if not given["jem_lambda"]:
        del names["independence"]
    for name, theirs in names.items():
        close(terms[name].value, case[f"out_{theirs}"])
    loss = sum(term.weight * term.value for term in terms.values())
    close(loss, case["out_loss"])
    for found, name in zip(
        torch.autograd.grad(loss, heads), ("common_1", "common_2", "salient_1", "salient_2"), strict=True
    ):
        close(found, case[f"grad_{name}"])
