"""The distance from uniform directions against numerical integrals, closed forms and the golden density."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from scipy.special import betainc, betaincinv
from torch import Tensor

from contrast_core.diagnostics import cosine_density, sphere, wasserstein_uniformity


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    """Isotropic Gaussian rows."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_quantiles(z: Tensor, steps: int = 400_000) -> float:
    """int |Q(u) - Q_d(u)| du by the midpoint rule over the sorted cosines of all pairs, none of them rounded."""
    u = torch.nn.functional.normalize(z, dim=1)
    i, j = torch.triu_indices(len(u), len(u), 1)
    cosines = numpy.sort((u[i] * u[j]).sum(1).numpy())
    at, shape = (numpy.arange(steps) + 0.5) / steps, (z.shape[1] - 1) / 2
    found = cosines[numpy.minimum((at * len(cosines)).astype(int), len(cosines) - 1)]
    return float(numpy.abs(found - (2 * betaincinv(shape, shape, at) - 1)).mean())


def test_golden_density(golden: Callable[[str], list[Any]]) -> None:
    """There the dimension is the sphere's own, one less than that of the rows."""
    for case in golden("dotproduct_pdf"):
        found = cosine_density(case["in_x"], case.meta["params"]["d"] + 1)
        torch.testing.assert_close(found, case["out_pdf"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [2, 3, 10, 2000])
def test_the_density_is_that_of_a_beta(size: int) -> None:
    """Its integral up to x is the distribution function that the distance uses, also in many dimensions."""
    x = torch.linspace(-0.6, 0.6, 20_001, dtype=torch.float64)
    shape = (size - 1) / 2
    expected = betainc(shape, shape, 0.8) - betainc(shape, shape, 0.2)
    assert float(torch.trapezoid(cosine_density(x, size), x)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bins", [20, 500, 2**14])
@pytest.mark.parametrize(("n", "d"), [(40, 2), (40, 3), (90, 16), (12, 128)])
def test_the_distance_is_off_by_less_than_half_a_bin(n: int, d: int, bins: int) -> None:
    """Against the integral over the cosines themselves, for rows near uniform and for rows that lean to one side."""
    for z in (rows(n, d), rows(n, d) + 0.7):
        # The integral itself has some 1e-5 of error where the quantiles are steep.
        assert abs(wasserstein_uniformity(z, bins) - by_quantiles(z)) <= 1 / bins + 2e-5


def test_tiles_of_any_side_count_each_pair_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the last tile is a part."""
    z = rows(41, 6)
    whole = wasserstein_uniformity(z)
    for tile in (1, 7, 40):
        monkeypatch.setattr(sphere, "TILE", tile)
        assert wasserstein_uniformity(z) == pytest.approx(whole, rel=1e-12)


def test_known_distances() -> None:
    """Equal rows are a mean of 1 away; uniform ones are near 0, and the nearer the more there are."""
    assert wasserstein_uniformity(torch.ones(30, 8)) == pytest.approx(1, abs=1e-4)
    # In the plane E|cos| of a uniform angle is 2 / pi; two rows at right angles have the one cosine 0.
    assert wasserstein_uniformity(torch.eye(2)) == pytest.approx(2 / math.pi, abs=1e-4)
    few, many = (wasserstein_uniformity(rows(n, 8)) for n in (30, 1200))
    assert many < 0.01 < few
    leaning = [wasserstein_uniformity(rows(300, 8) + offset) for offset in (0, 0.3, 1, 3)]
    assert leaning == sorted(leaning)
    assert wasserstein_uniformity(rows(60, 8).numpy()) == wasserstein_uniformity(5 * rows(60, 8))


def test_what_has_no_directions_is_refused() -> None:
    """One sentence each."""
    with pytest.raises(ValueError, match="at least 2 dimensions, not in 1"):
        wasserstein_uniformity(rows(5, 1))
    with pytest.raises(ValueError, match="at least one bin, not in 0"):
        wasserstein_uniformity(rows(5, 3), 0)
    with pytest.raises(ValueError, match="between -1 and 1"):
        cosine_density(torch.tensor([0.0, 1.1]), 4)
    with pytest.raises(ValueError, match="at least 2 dimensions, not in 0"):
        cosine_density(torch.zeros(1), 0)
