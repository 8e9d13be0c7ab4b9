"""Two-view losses of lightly as objectives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.nn import functional

from contrast_core.adapters import named
from contrast_core.adapters.lightly import LOSSES, Lightly, losses
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Objective
from contrast_core.objectives.barlow import BarlowTwins
from contrast_core.objectives.infonce import DCL, InfoNCE
from contrast_core.objectives.vicreg import VICReg
from contrast_core.samplers.views import TwoViews

if find_spec("lightly") is None:
    pytest.skip("lightly is not installed", allow_module_level=True)
Make = Callable[..., Any]

OURS: list[tuple[str, dict[str, Any], Objective]] = [
    ("NTXentLoss", {"temperature": 0.3}, InfoNCE(temperature=0.3)),
    ("DCLLoss", {"temperature": 0.3}, DCL(temperature=0.3)),
    ("BarlowTwinsLoss", {"lambda_param": 0.01}, BarlowTwins(trade_off=0.01)),
    ("VICRegLoss", {"lambda_param": 10, "nu_param": 2.0}, VICReg(invariance=10, covariance=2)),
]


@pytest.mark.parametrize(("loss", "arguments", "ours"), OURS, ids=[name for name, _, _ in OURS])
def test_equals_the_objectives_here(
    table: Make, rows: Make, run: Make, alike: Make, loss: str, arguments: dict[str, Any], ours: Objective
) -> None:
    """Values and gradients of both views."""
    a, b = rows(11, seed=1), rows(11, seed=2)
    tables = {"one": table(a), "two": table(b)}
    theirs = Lightly(loss, arguments=arguments)
    assert set(theirs.needs) == {"one", "two"}
    term = run(theirs, **tables)
    alike(term, run(ours, TwoViews(), **tables), a, b)
    assert (term.rows, term.dropped) == (11, 0)


@pytest.mark.parametrize(
    ("name", "sides", "loss", "arguments"),
    [
        ("lightly_ntxent", ("out0", "out1"), "NTXentLoss", lambda p: {"temperature": p["temperature"]}),
        ("barlow_twins", ("z_a", "z_b"), "BarlowTwinsLoss", lambda p: {}),
        ("vicreg", ("z_a", "z_b"), "VICRegLoss", lambda p: {}),
    ],
)
def test_golden_cases(
    golden: Make,
    table: Make,
    run: Make,
    name: str,
    sides: tuple[str, str],
    loss: str,
    arguments: Callable[[Any], dict[str, Any]],
) -> None:
    """What was recorded of the library comes out of it here as well."""
    for case in golden(name):
        a, b = (case[f"in_{side}"].clone().requires_grad_() for side in sides)
        theirs = Lightly(loss, arguments=arguments(case.meta["params"]))
        value = run(theirs, one=table(a), two=table(b)).value
        torch.testing.assert_close(value, case["out_loss"], rtol=1e-10, atol=1e-12)
        for side, gradient in zip(sides, torch.autograd.grad(value, (a, b)), strict=True):
            torch.testing.assert_close(gradient, case[f"grad_{side}"], rtol=1e-10, atol=1e-12)


# DCLWLoss copies a tensor in a way that torch warns of.
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
@pytest.mark.parametrize("loss", LOSSES)
def test_every_named_loss_works(table: Make, rows: Make, run: Make, loss: str) -> None:
    """With its own defaults, gradients reach both tables."""
    a, b = rows(8, seed=1), rows(8, seed=2)
    arguments = {"loss_dim": 4} if loss == "DirectCLRLoss" else {}
    value = run(Lightly(loss, arguments=arguments), one=table(a), two=table(b)).value
    assert all(gradient.abs().max() > 0 for gradient in torch.autograd.grad(value, (a, b)))


def test_negative_cosine_similarity(table: Make, rows: Make, run: Make) -> None:
    """By its equation."""
    a, b = rows(8, seed=1), rows(8, seed=2)
    value = run(Lightly("NegativeCosineSimilarity"), one=table(a), two=table(b)).value
    unit = [functional.normalize(z, dim=1) for z in (a, b)]
    torch.testing.assert_close(value, -(unit[0] * unit[1]).sum(1).mean())


def test_a_single_sample_is_dropped(table: Make, rows: Make, run: Make) -> None:
    """There is nobody to compare it with."""
    a, b = rows(1, seed=1), rows(1, seed=2)
    term = run(Lightly("DCLLoss"), one=table(a), two=table(b))
    assert (term.value.item(), term.rows, term.dropped) == (0.0, 0, 1)
    assert not any(gradient.any() for gradient in torch.autograd.grad(term.value, (a, b)))


def test_half_precision_is_computed_in_float32(table: Make, rows: Make, run: Make) -> None:
    """Also under autocast."""
    a, b = (rows(8, seed=seed).detach().bfloat16() for seed in (1, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = run(Lightly("NTXentLoss"), one=table(a), two=table(b)).value
    expected = run(Lightly("NTXentLoss"), one=table(a.float()), two=table(b.float())).value
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss": "NTXentLos"}, "There is no two-view loss of lightly called 'NTXentLos'. Did you mean NTXentLoss"),
        ({"loss": "SwaVLoss"}, "There is no two-view loss of lightly called 'SwaVLoss'"),
        ({"loss": "NTXentLoss", "arguments": {"temprature": 1}}, "has no argument 'temprature'. Did you mean temp"),
        ({"loss": "NTXentLoss", "arguments": {"temperature": 0}}, "loss of lightly, refuses this: Illegal temperature"),
        ({"loss": "NTXentLoss", "arguments": {"memory_bank_size": [8, 6]}}, "Leave out 'memory_bank_size' .* core/que"),
        ({"loss": "DCLLoss", "arguments": {"gather_distributed": True}}, "Leave out 'gather_distributed' of DCLLoss"),
        ({"loss": "VICRegLoss", "arguments": {"x": 1}}, "has no argument 'x'. It has lambda_param, mu_param"),
    ],
)  # fmt: skip
def test_what_can_not_be_made_is_said_in_a_sentence(wrong: dict[str, Any], message: str) -> None:
    """Names with the nearest known ones, arguments, and what the library itself refuses."""
    with pytest.raises(ValueError, match=message):
        Lightly(**wrong)


def test_tables_of_different_samples_are_refused(table: Make, rows: Make, run: Make) -> None:
    """As by every objective of two views."""
    tables = {"one": table(rows(4)), "two": table(rows(4), sample=torch.arange(4).flip(0))}
    with pytest.raises(ValueError, match="different samples"):
        run(Lightly("NTXentLoss"), **tables)


def test_a_recipe_trains_with_it(train: Make) -> None:
    """SimCLR on digits with the library's loss."""
    folder = train("core/digits-simclr", {
        "objective.contrast.use": "core/lightly",
        "objective.contrast.loss": "NTXentLoss",
        "objective.contrast.arguments": {"temperature": 0.2},
    })  # fmt: skip
    assert (folder / "evaluation.json").exists()


def test_without_the_library_the_line_that_installs_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, as for every extra."""
    monkeypatch.setattr(named, "find_spec", lambda name: None)
    with pytest.raises(ContrastError, match=r"pip install 'contrast-core\[lightly\]'"):
        Lightly("NTXentLoss")


def test_a_library_that_breaks_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example a torchvision that was built for another torch."""

    def broken(name: str) -> ModuleType:
        raise RuntimeError("operator torchvision::nms\ndoes not exist")

    monkeypatch.setattr(named, "import_module", broken)
    with pytest.raises(ContrastError, match="can't be imported: RuntimeError: operator torchvision::nms does not"):
        losses()


def test_importing_leaves_no_trace_of_what_stood_in() -> None:
    """lightly is imported when a component is made; torchvision looks as absent as it is, or as present."""
    code = (
        "import sys; from importlib.util import find_spec; from contrast_core.adapters.lightly import Lightly\n"
        "there = find_spec('torchvision') is not None\n"
        "assert 'lightly' not in sys.modules\n"
        "Lightly('NTXentLoss'); assert 'lightly.loss' in sys.modules\n"
        "assert (find_spec('torchvision') is not None) == there"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
