"""The authors' loss, values and gradients in float64."""

from __future__ import annotations

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.mlp import MLP
from contrast_core.encoders.momentum import Momentum
from contrast_core.interfaces import Outputs
from contrast_core.pairs import Pairs
from contrast_core.relations import everything, same
from contrast_fewshot.objectives import BECLR, MemoryUniformity


def table(z):
    """2n rows, one view after the other."""
    half = torch.arange(len(z) // 2)
    return Embeddings.of(z, sample=half.repeat(2), view=torch.arange(2).repeat_interleave(len(half)))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_loss_and_gradients_are_the_authors(golden, number):
    """With student rows alone and with the teacher's as second view, with and without appended rows."""
    case = golden("beclr_loss")[number]
    given = case["meta"]["params"]
    leaves = [case[f"in_{name}"].requires_grad_() for name in ("z_teacher", "p_student", "z_student")]
    teacher, predicted, student = leaves
    half = len(student) // 2
    z = student if given["uniformity_config"] == "SS" else torch.cat([student[:half], teacher[half:]])
    own, others = same("sample") & ~same("view"), ~same("sample")
    pairs = {
        "positives": Pairs(table(predicted), table(teacher).detach(), own, others),
        "others": Pairs(table(z), table(z), own, others),
    }
    terms = BECLR(lam=given["lamb_neg"], temperature=given["temp"])(Outputs({}, pairs, {}))
    torch.testing.assert_close(terms["positive"].value, case["out_loss_pos"], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(terms["negative"].value, case["out_loss_neg"], rtol=1e-10, atol=1e-12)
    assert terms["positive"].scalars["spread"] == pytest.approx(float(case["out_std"]), rel=1e-10)
    loss = sum(term.weight * term.value for term in terms.values())
    torch.testing.assert_close(loss, case["out_loss"], rtol=1e-10, atol=1e-12)
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    for gradient, name in zip(found, ("z_teacher", "p_student", "z_student"), strict=True):
        wanted = case[f"grad_{name}"]
        gradient = torch.zeros_like(wanted) if gradient is None else gradient
        torch.testing.assert_close(gradient, wanted, rtol=1e-10, atol=1e-12)


def test_uniformity_against_a_memory_is_the_authors(golden):
    """Value and gradients of both views."""
    case = golden("beclr_neg_with_memory")[0]
    given = case["meta"]["params"]
    one, two = case["in_z1"].requires_grad_(), case["in_z2"].requires_grad_()
    memory = Embeddings.of(case["in_memory"].T)
    pairs = Pairs(Embeddings.of(torch.cat([one, two])), memory, everything, everything)
    objective = MemoryUniformity(temperature=given["temp"], threshold=given["pos_threshold"])
    value = objective(Outputs({}, {"pairs": pairs}, {})).value
    torch.testing.assert_close(value, case["out_loss"], rtol=1e-10, atol=1e-12)
    for found, name in zip(torch.autograd.grad(value, (one, two)), ("z1", "z2"), strict=True):
        torch.testing.assert_close(found, case[f"grad_{name}"], rtol=1e-10, atol=1e-12)


def test_the_teachers_momentum_follows_the_authors_cosine(golden):
    """From 0.995 towards 1, update by update."""
    case = golden("cosine_scheduler")[1]
    given = case["meta"]["params"]
    encoder = Momentum(
        MLP(views=("one",)), momentum=given["base"], final=given["final"], updates=len(case["out_values"])
    )
    encoder.prepare({"one": torch.zeros(2, 3), "sample": torch.arange(2)})
    for value in case["out_values"]:
        assert encoder.current() == pytest.approx(float(value), rel=1e-10)
        encoder.after_update()
    assert encoder.current() == given["final"]
