"""The geometry of embeddings against plain loops and closed forms."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch

from contrast_core.diagnostics import (
    alignment,
    collapsed,
    effective_rank,
    mean_cosine,
    rankme,
    spectrum,
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


def test_alignment_is_the_mean_squared_distance_of_unit_rows() -> None:
    """Against a loop; 0 for equal directions, 4 for opposite ones."""
    a, b = rows(20, 5), rows(20, 5, seed=1)
    expected = sum(float((x - y).norm() ** 2) for x, y in zip(unit(a), unit(b), strict=True)) / 20
    assert alignment(a, b) == pytest.approx(expected, rel=1e-12)
    assert alignment(a, 3 * a) == pytest.approx(0, abs=1e-12)
    assert alignment(a, -a) == pytest.approx(4)


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
    """Against a loop; unknown labels are left out."""
    z, labels = rows(30, 4), torch.randint(-1, 4, (30,), generator=torch.Generator().manual_seed(2))
    u = unit(z)
    cosines = [float(u[i] @ u[j]) for i, j in combinations(range(30), 2) if labels[i] == labels[j] >= 0]
    assert tolerance(z, labels) == pytest.approx(sum(cosines) / len(cosines), rel=1e-12)
    assert math.isnan(tolerance(z, torch.arange(30)))


def test_mean_cosine_is_over_pairs_of_different_rows() -> None:
    """Against a loop."""
    u = unit(z := rows(25, 3))
    cosines = [float(u[i] @ u[j]) for i, j in combinations(range(25), 2)]
    assert mean_cosine(z) == pytest.approx(sum(cosines) / len(cosines), rel=1e-9)


@pytest.mark.parametrize("shape", [(2100, 7), (7, 40), (9, 9)])
def test_spectrum_holds_the_singular_values_of_centred_rows(shape: tuple[int, int]) -> None:
    """Against the decomposition itself, for tall, wide and square tables."""
    z = rows(*shape) + 5
    expected = torch.linalg.svdvals(z - z.mean(0))
    torch.testing.assert_close(spectrum(z), expected, rtol=1e-9, atol=1e-6)
    torch.testing.assert_close(spectrum(z, centred=False), torch.linalg.svdvals(z), rtol=1e-9, atol=1e-6)


def test_effective_rank_of_known_spectra() -> None:
    """All d directions alike give d, a line gives 1, equal rows give 0, isotropic Gaussians nearly d."""
    assert effective_rank(torch.cat([torch.eye(6), -torch.eye(6)])) == pytest.approx(6)
    assert effective_rank(rows(50, 1) @ rows(1, 8)) == pytest.approx(1, abs=1e-5)
    assert effective_rank(torch.full((9, 4), 2.0)) == 0
    assert effective_rank(rows(4000, 16)) == pytest.approx(16, rel=0.01)


def test_rankme_looks_at_rows_that_are_not_centred() -> None:
    """By its formula on singular values; a common offset lowers it and leaves the effective rank alone."""
    z = rows(300, 8)
    share = torch.linalg.svdvals(z) / torch.linalg.svdvals(z).sum() + 1e-7
    assert rankme(z) == pytest.approx(math.exp(-float((share * share.log()).sum())), rel=1e-9)
    assert rankme(z + 20) < 4
    assert effective_rank(z + 20) == pytest.approx(effective_rank(z))


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
    with pytest.raises(ValueError, match="one a row"):
        tolerance(torch.ones(3, 2), torch.zeros(2))
