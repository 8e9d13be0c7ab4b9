"""The authors' supervised losses, values and gradients in float64."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_medical.supervised import SupervisedAlignment, SupervisedSepCLR


def close(found, wanted):
    """Equal to 1e-10."""
    assert_close(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("discrete", [False, True])
def test_supervised_alignment_is_the_authors(golden, discrete, number):
    """Of a number and of a class; background rows and rows of unknown attribute change nothing."""
    case = golden("discrete_sup_align_loss" if discrete else "sup_align_loss")[number]
    x, y = case["in_x"].requires_grad_(), case["in_y"]
    count = len(x)
    fields = {"salient": torch.cat([x, x.new_tensor([3.0, -2.0])])[:, None]}
    attributes = torch.cat([y, y.new_tensor([float(y[0]), float("nan")])])[:, None]
    role = torch.tensor([1] * count + [0, 1])
    table = Embeddings(fields, {"role": role, "attributes": attributes})
    temperature = case.meta["params"].get("tau", 0.5)
    objective = SupervisedAlignment(coordinate=0, temperature=temperature, discrete=discrete)
    term = objective(Outputs({"image": table}, {}, {}))
    assert (term.rows, term.dropped) == (count, 1)
    close(term.value, case["out_loss"])
    close(torch.autograd.grad(term.value, x)[0], case["grad_x"])


@pytest.mark.parametrize("number", [0, 1])
def test_the_supervised_loss_is_the_authors(golden, number):
    """Common, salient and joint entropy, their sum, and the gradients of all heads."""
    case = golden("sepclr_supervised_total_loss")[number]
    given = case.meta["params"]
    names = ("common", "common_distorted", "salient")
    heads = [case[f"in_{name}"].requires_grad_() for name in names]
    columns = {"sample": torch.arange(len(heads[0])), "role": case["in_labels"], "attributes": case["in_attributes"]}
    tables = {"image": Embeddings({"common": heads[0], "salient": heads[2]}, columns),
              "one": Embeddings({"common": heads[1]}, columns)}  # fmt: skip
    objective = SupervisedSepCLR(
        target_weight=given["salient_term_beta"],
        independence_weight=given["jem_lambda"],
        temperature=given["tau"],
        attribute_temperature=given["tau_attribute"],
    )
    terms = objective(Outputs(tables, {}, {}))
    close(terms["common-align"].value + terms["common-uniform"].value, case["out_common"])
    salient = terms["salient-uniform"].value + (terms["salient-align"].value + terms["salient-null"].value) / 2
    close(salient, case["out_salient"])
    close(terms["independence"].value, case["out_jem"])
    loss = sum(term.weight * term.value for term in terms.values())
    close(loss, case["out_loss"])
    for found, name in zip(torch.autograd.grad(loss, heads), names, strict=True):
        close(found, case[f"grad_{name}"])


def test_other_numbers_of_coordinates_and_attributes_are_refused():
    """The sentence says which setting to change."""
    rows = torch.randn(4, 3)
    columns = {"sample": torch.arange(4), "role": torch.tensor([0, 1, 1, 0]), "attributes": torch.zeros(4, 2)}
    table = Embeddings({"common": rows, "salient": rows}, columns)
    with pytest.raises(ValueError, match=r"3 coordinates .* salient encoder's projection"):
        SupervisedSepCLR()(Outputs({"image": table, "one": table}, {}, {}))


@pytest.mark.parametrize("roles", [[0, 0, 0], [0, 1, 0]])
def test_without_two_target_rows_alignment_is_zero(roles):
    """With no rows."""
    table = Embeddings({"salient": torch.randn(3, 2)}, {"role": torch.tensor(roles), "attributes": torch.zeros(3, 1)})
    term = SupervisedAlignment()(Outputs({"image": table}, {}, {}))
    assert (term.rows, float(term.value)) == (0, 0.0)
