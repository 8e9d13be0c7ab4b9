"""Spectra and the numbers read off them, against the decomposition itself, closed forms and golden cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch

from contrast_core.diagnostics import (
    covariance_spectrum,
    effective_rank,
    log_covariance_spectrum,
    nesum,
    numerical_rank,
    participation_ratio,
    power_law,
    rank_summary,
    rankme,
    spectrum,
    stable_rank,
)


def rows(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Isotropic Gaussian rows."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_eigenvalues(values: torch.Tensor, n: int = 200) -> torch.Tensor:
    """Rows (n, d) whose covariance (divisor n) has these eigenvalues, with a common offset."""
    d = len(values)
    basis, _ = torch.linalg.qr(rows(n, d + 1) - rows(n, d + 1).mean(0))
    turn, _ = torch.linalg.qr(rows(d, d, seed=1))
    return (n * values).sqrt() * basis[:, :d] @ turn.T + 3


def test_golden_spectra(golden: Callable[[str], list[Any]]) -> None:
    """Singular values, effective rank, RankMe and covariance spectrum of the papers' equations."""
    for case in golden("spectrum_derived"):
        z = case["in_x"]
        close = {"rtol": 1e-10, "atol": 1e-12}
        torch.testing.assert_close(spectrum(z, centred=False), case["out_singular_values"], **close)
        torch.testing.assert_close(covariance_spectrum(z), case["out_cov_eigenvalues"], **close)
        torch.testing.assert_close(log_covariance_spectrum(z), case["out_log10_cov_singular_values"], **close)
        assert effective_rank(z, centred=False) == pytest.approx(float(case["out_effective_rank"]), rel=1e-10)
        assert rankme(z, case.meta["params"]["eps"]) == pytest.approx(float(case["out_rankme_eps1e7"]), rel=1e-10)
        assert participation_ratio(z) == pytest.approx(float(case["out_participation_ratio"]), rel=1e-10)


def test_golden_ranks_of_dhel(golden: Callable[[str], list[Any]]) -> None:
    """Their effective rank is not centred and adds its epsilon before normalising; their rank is absolute."""
    for case in golden("spectrum_metrics"):
        z, params = case["in_z"], case.meta["params"]
        theirs = effective_rank(z, centred=False, eps=params["eps_erank"])
        assert theirs == pytest.approx(float(case["out_effective_rank"]), rel=1e-10)
        assert numerical_rank(z, params["eps_rank"], absolute=True) == int(case["out_rank"])


@pytest.mark.parametrize("shape", [(2100, 7), (7, 40), (9, 9)])
def test_spectrum_holds_the_singular_values_of_centred_rows(shape: tuple[int, int]) -> None:
    """Against the decomposition itself, for tall, wide and square tables."""
    z = rows(*shape) + 5
    expected = torch.linalg.svdvals(z - z.mean(0))
    torch.testing.assert_close(spectrum(z), expected, rtol=1e-9, atol=1e-6)
    torch.testing.assert_close(spectrum(z, centred=False), torch.linalg.svdvals(z), rtol=1e-9, atol=1e-6)


def test_directions_that_hold_only_rounding_are_empty() -> None:
    """Centred wide rows have n - 1 directions, and the last one is 0, not 1e-8."""
    values = spectrum(rows(7, 40))
    assert values[-1] == 0
    assert (values[:-1] > 1).all()
    share = torch.linalg.svdvals(rows(7, 40) - rows(7, 40).mean(0))[:-1]
    share /= share.sum()
    assert effective_rank(rows(7, 40)) == pytest.approx(math.exp(-float((share * share.log()).sum())), rel=1e-12)


def test_the_covariance_has_an_eigenvalue_for_every_column() -> None:
    """Against numpy's covariance, also where there are fewer rows than columns."""
    for shape in ((30, 5), (5, 30)):
        z = rows(*shape)
        expected = torch.linalg.eigvalsh(torch.from_numpy(numpy.cov(z.numpy().T, bias=True))).flip(0)
        torch.testing.assert_close(covariance_spectrum(z), expected, rtol=1e-9, atol=1e-12)
    assert log_covariance_spectrum(rows(5, 30), floor=1e-7)[-1] == pytest.approx(-7)


def test_effective_rank_of_known_spectra() -> None:
    """All d directions alike give d, a line gives 1, equal rows give 0, isotropic Gaussians nearly d."""
    assert effective_rank(torch.cat([torch.eye(6), -torch.eye(6)])) == pytest.approx(6)
    assert effective_rank(rows(50, 1) @ rows(1, 8)) == pytest.approx(1, abs=1e-5)
    assert effective_rank(torch.full((9, 4), 2.0)) == 0
    assert effective_rank(torch.full((9, 4), 2.0), eps=1e-7) == 0
    assert effective_rank(torch.full((9, 4), 2.0), centred=False) == pytest.approx(1)
    assert effective_rank(rows(4000, 16)) == pytest.approx(16, rel=0.01)


def test_rankme_looks_at_rows_that_are_not_centred() -> None:
    """By its formula on singular values; a common offset lowers it and leaves the effective rank alone."""
    z = rows(300, 8)
    share = torch.linalg.svdvals(z) / torch.linalg.svdvals(z).sum() + 1e-7
    assert rankme(z) == pytest.approx(math.exp(-float((share * share.log()).sum())), rel=1e-9)
    assert rankme(z + 20) < 4
    assert effective_rank(z + 20) == pytest.approx(effective_rank(z))


def test_numbers_of_a_known_covariance() -> None:
    """Each by its formula on the eigenvalues that the rows were made with."""
    values = torch.tensor([4.0, 2.0, 1.0, 1e-4], dtype=torch.float64)
    z = with_eigenvalues(values)
    assert participation_ratio(z) == pytest.approx(7.0001**2 / float(values.square().sum()), rel=1e-9)
    assert nesum(z) == pytest.approx(7.0001 / 4, rel=1e-9)
    assert stable_rank(z, centred=True) == pytest.approx(nesum(z), rel=1e-9)
    singular = torch.linalg.svdvals(z)
    assert stable_rank(z) == pytest.approx(float(singular.square().sum() / singular[0].square()), rel=1e-9)
    assert [numerical_rank(z, tol) for tol in (1e-5, 1e-3, 0.3, 0.9)] == [4, 3, 2, 1]
    assert [numerical_rank(z, tol, absolute=True) for tol in (1e-5, 1e-3, 0.3, 3.0, 5.0)] == [4, 3, 3, 1, 0]


def test_equal_rows_use_no_direction() -> None:
    """Every number is 0, and none is NaN."""
    z = torch.zeros(9, 4)
    assert set(rank_summary(z).values()) == {0.0}
    assert stable_rank(z + 1) == pytest.approx(1)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.5])
def test_a_power_law_is_found_again(alpha: float) -> None:
    """Over all ranks, over some, and weighted; a bend outside of the chosen ranks does no harm."""
    values = torch.arange(1, 31, dtype=torch.float64) ** -alpha
    for options in ({}, {"first": 4, "last": 20}, {"first": 4, "last": 100, "weighted": True}):
        assert power_law(with_eigenvalues(values), **options) == pytest.approx(alpha, rel=1e-6)
    values[20:] *= 0.01
    assert power_law(with_eigenvalues(values), 1, 20) == pytest.approx(alpha, rel=1e-6)
    assert power_law(with_eigenvalues(values)) > alpha + 0.1


def test_a_weighted_power_law_is_weighted_least_squares() -> None:
    """Against the normal equations with weights 1 / k, as in the authors' code; rank 1 weighs most."""
    values = rows(1, 12).abs().flatten().sort(descending=True).values + 0.01
    z, rank = with_eigenvalues(values), torch.arange(3, 13, dtype=torch.float64)
    x = torch.stack([-rank.log(), torch.ones(10, dtype=torch.float64)], dim=1)
    weight = (1 / rank)[:, None]
    slope = torch.linalg.solve(x.T @ (x * weight), (x * weight).T @ values[2:].log())[0]
    assert power_law(z, 3, weighted=True) == pytest.approx(float(slope), rel=1e-6)
    assert power_law(z, 3) != pytest.approx(float(slope), rel=1e-3)


def test_a_power_law_needs_two_ranks() -> None:
    """Fewer give NaN, and ranks that can't be are refused."""
    assert math.isnan(power_law(rows(20, 1)))
    assert math.isnan(power_law(rows(20, 3), 3))
    assert "power_law" not in rank_summary(rows(20, 1))
    for first, last in ((0, None), (3, 3)):
        with pytest.raises(ValueError, match="ranks from first >= 1 to last > first"):
            power_law(rows(20, 3), first, last)


def test_the_summary_holds_what_each_function_gives() -> None:
    """From two decompositions instead of seven; numpy arrays are welcome."""
    z = rows(40, 6) + 1
    functions = (effective_rank, rankme, numerical_rank, participation_ratio, stable_rank, nesum, power_law)
    for found in (rank_summary(z), rank_summary(z.numpy())):
        assert found == pytest.approx({function.__name__: function(z) for function in functions}, rel=1e-12)
