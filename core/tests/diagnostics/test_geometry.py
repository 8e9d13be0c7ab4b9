"""The geometry of embeddings against plain loops and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch

from contrast_core.diagnostics import (
    alignment,
    collapsed,
    effective_rank,
    mean_cosine,
    summary,
    tolerance,
    uniformity,
)


def rows(n: int, d: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Isotropic Gaussian rows."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def unit(z: torch.Tensor) -> torch.Tensor:
    """Each row scaled to length one."""
    return z / z.norm(dim=1, keepdim=True)


def test_golden_uniformity_tolerance_and_alignment(golden: Callable[[str], list[Any]]) -> None:
    """Numbers of align_uniform and of the paper's equation, with a row's pair with itself and without."""
    for case, partner in zip(golden("uniformity_tolerance"), golden("contrastive_gradients"), strict=True):
        z, labels = case["in_x"], case["in_y"]
        seen = {
            "uniformity_t2": uniformity(z, case.meta["params"]["t"]),
            "tolerance_no_self": tolerance(z, labels),
            "tolerance_with_self": tolerance(z, labels, with_self=True),
            "align": alignment(z, partner["in_z2"], case.meta["params"]["alpha"]),
        }
        for name, value in seen.items():
            assert value == pytest.approx(float(case[f"out_{name}"]), rel=1e-10), name


def test_golden_alignment_and_uniformity_of_dhel(golden: Callable[[str], list[Any]]) -> None:
    """Both halves of the rows are the ends of the positive pairs."""
    for case in golden("spectrum_metrics"):
        one, two = case["in_z"].chunk(2)
        assert alignment(one, two) == pytest.approx(float(case["out_alignment"]), rel=1e-10)
        assert uniformity(case["in_z"]) == pytest.approx(float(case["out_uniformity"]), rel=1e-10)


def test_arrays_of_numpy_give_the_same() -> None:
    """Also for labels."""
    z, labels = rows(30, 4), torch.arange(30) % 4
    assert uniformity(z.numpy()) == uniformity(z)
    assert alignment(z.numpy(), 2 * z.numpy() + 1) == alignment(z, 2 * z + 1)
    assert tolerance(z.numpy(), labels.numpy()) == tolerance(z, labels)
    assert summary(z.numpy(), labels.numpy(), 20) == summary(z, labels, 20)


def test_alignment_is_the_mean_squared_distance_of_unit_rows() -> None:
    """Against a loop; 0 for equal directions, 4 for opposite ones."""
    a, b = rows(20, 5), rows(20, 5, seed=1)
    expected = sum(float((x - y).norm() ** 2) for x, y in zip(unit(a), unit(b), strict=True)) / 20
    assert alignment(a, b) == pytest.approx(expected, rel=1e-12)
    assert alignment(a, 3 * a) == pytest.approx(0, abs=1e-12)
    assert alignment(a, -a) == pytest.approx(4)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_alignment_takes_other_powers_of_the_distance(alpha: float) -> None:
    """Against a loop."""
    a, b = rows(20, 5), rows(20, 5, seed=1)
    expected = sum(float((x - y).norm() ** alpha) for x, y in zip(unit(a), unit(b), strict=True)) / 20
    assert alignment(a, b, alpha) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("t", [0.5, 2.0, 500.0])
@pytest.mark.parametrize("n", [2, 40, 513, 600])
def test_uniformity_is_the_log_mean_over_pairs(n: int, t: float) -> None:
    """Against all pairs at once, over one and several tiles, without underflow for a large t."""
    z = rows(n, 3)
    expected = torch.logsumexp(-t * torch.pdist(unit(z)).square(), 0) - math.log(n * (n - 1) / 2)
    assert uniformity(z, t) == pytest.approx(float(expected), rel=1e-9)


def test_uniformity_of_zero_rows_is_that_of_one_point() -> None:
    """A row of zeros lies at the origin, distance 1 from each unit row."""
    assert uniformity(torch.zeros(5, 3)) == pytest.approx(0, abs=1e-6)
    assert uniformity(torch.tensor([[0.0, 0.0], [3.0, 0.0]])) == pytest.approx(-2)


def test_uniformity_of_random_rows_nears_the_closed_form() -> None:
    """In d dimensions E exp(2t cos - 2t) is about exp(2t^2 / d - 2t) for large d."""
    assert uniformity(rows(1500, 256)) == pytest.approx(-4 + 8 / 256, abs=0.01)


def test_tolerance_is_the_mean_cosine_of_same_label_pairs() -> None:
    """Against a loop; unknown labels are left out; a row with itself counts only if asked for."""
    z, labels = rows(30, 4), torch.randint(-1, 4, (30,), generator=torch.Generator().manual_seed(2))
    u = unit(z)
    cosines = [float(u[i] @ u[j]) for i, j in combinations(range(30), 2) if labels[i] == labels[j] >= 0]
    assert tolerance(z, labels) == pytest.approx(sum(cosines) / len(cosines), rel=1e-12)
    known = int((labels >= 0).sum())
    expected = (2 * sum(cosines) + known) / (2 * len(cosines) + known)
    assert tolerance(z, labels, with_self=True) == pytest.approx(expected, rel=1e-12)
    assert math.isnan(tolerance(z, torch.arange(30)))
    assert tolerance(z, torch.arange(30), with_self=True) == pytest.approx(1)
    assert math.isnan(tolerance(z, torch.full((30,), -1), with_self=True))


def test_mean_cosine_is_over_pairs_of_different_rows() -> None:
    """Against a loop."""
    u = unit(z := rows(25, 3))
    cosines = [float(u[i] @ u[j]) for i, j in combinations(range(25), 2)]
    assert mean_cosine(z) == pytest.approx(sum(cosines) / len(cosines), rel=1e-9)


@pytest.mark.parametrize(
    ("z", "kind"),
    [
        (torch.zeros(40, 8), "Complete"),
        (torch.ones(40, 8), "Complete"),
        (1 + 1e-3 * rows(40, 8), "Complete"),
        (rows(200, 1) @ rows(1, 16), "Dimensional"),
        (rows(2000, 6) @ rows(6, 256), "Dimensional"),
        (rows(2000, 64), ""),
        (rows(100, 2), ""),
        (rows(100, 3), ""),
        (rows(30, 1), ""),
        (rows(5, 64), ""),
    ],
)
def test_the_alarm_names_the_collapse(z: torch.Tensor, kind: str) -> None:
    """Healthy embeddings, in few dimensions and with few rows too, raise no alarm."""
    sentence = collapsed(summary(z))
    assert sentence.startswith(kind)
    assert bool(sentence) == bool(kind)


def test_summary_draws_the_same_rows_for_the_same_seed() -> None:
    """On a subsample it stays near the numbers of all rows; other seeds draw other rows."""
    z = rows(3000, 12, dtype=torch.float32)
    labels = torch.arange(3000) % 5
    first, again = (summary(z, labels, 500, torch.Generator().manual_seed(4)) for _ in range(2))
    other = summary(z, labels, 500, torch.Generator().manual_seed(5))
    assert first == again != other
    assert first["effective_rank"] == pytest.approx(effective_rank(z), rel=0.02)
    assert summary(z, labels, 3000)["tolerance"] == pytest.approx(tolerance(z, labels))
    assert "tolerance" not in summary(z)


def test_half_precision_and_gradients_are_taken_as_they_come() -> None:
    """Rows in bfloat16 that require a gradient give plain numbers."""
    z = rows(50, 8).bfloat16().requires_grad_()
    assert uniformity(z) == pytest.approx(uniformity(z.detach().float()))
    assert math.isfinite(effective_rank(z))


def test_what_is_no_table_of_finite_rows_is_refused() -> None:
    """One sentence that says what is wrong."""
    with pytest.raises(ValueError, match=r"shape \(n, d\)"):
        uniformity(torch.zeros(4))
    with pytest.raises(ValueError, match="at least 2 rows"):
        effective_rank(torch.zeros(1, 4))
    bad = torch.ones(6, 2)
    bad[2, 1] = math.nan
    with pytest.raises(ValueError, match="1 of 6 embeddings"):
        summary(bad)
    with pytest.raises(ValueError, match="one shape"):
        alignment(torch.zeros(2, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="alpha > 0"):
        alignment(torch.zeros(2, 2), torch.zeros(2, 2), 0)
    with pytest.raises(ValueError, match="one a row"):
        tolerance(torch.ones(3, 2), torch.zeros(2))
