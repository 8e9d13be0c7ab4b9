"""Inner-product k-means and concentrations, against plain loops."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from contrast_core import clustering
from contrast_core.clustering import assign, concentration, inner_product_kmeans


def unit_rows(n: int, d: int, seed: int = 0) -> Tensor:
    """Random unit vectors, float64."""
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def concentration_loop(
    distance: np.ndarray, assignment: np.ndarray, k: int, temperature: float, smoothing: float
) -> np.ndarray:
    """The formula cluster by cluster in numpy."""
    phi, small = np.zeros(k), []
    for cluster in range(k):
        own = distance[assignment == cluster]
        if len(own) < 2:
            small.append(cluster)
        else:
            phi[cluster] = np.sqrt(np.maximum(own, 0)).mean() / np.log(len(own) + smoothing)
    phi[small] = phi.max()
    phi = phi.clip(np.percentile(phi, 10), np.percentile(phi, 90))
    return temperature * phi / phi.mean()


@pytest.mark.parametrize("smoothing", [5.0, 10.0])
@pytest.mark.parametrize("measure", ["similarity", "distance"])
def test_concentration_against_a_loop(measure: Literal["similarity", "distance"], smoothing: float) -> None:
    """Clusters with no row, one row and negative inner products included."""
    rng = np.random.default_rng(0)
    inner = rng.uniform(-0.3, 1, 40)
    index = np.concatenate([[7], rng.integers(0, 6, 39)])  # 7 has one row, 6 and 8 none
    distance = inner if measure == "similarity" else 2 - 2 * inner
    phi = concentration(torch.tensor(inner), torch.tensor(index), 9, 0.4, measure, smoothing)
    np.testing.assert_allclose(phi.numpy(), concentration_loop(distance, index, 9, 0.4, smoothing), rtol=1e-12)


def test_concentration_without_information_is_the_temperature() -> None:
    """Only one-point clusters, or only zero distances or similarities."""
    inner = torch.ones(3, dtype=torch.float64)
    expected = torch.full((4,), 0.7, dtype=torch.float64)
    assert torch.equal(concentration(inner / 2, torch.tensor([0, 1, 2]), 4, 0.7), expected)
    assert torch.equal(concentration(inner, torch.tensor([0, 0, 0]), 4, 0.7), expected)
    assert torch.equal(concentration(-inner, torch.tensor([0, 0, 0]), 4, 0.7, "similarity"), expected)


def test_a_cluster_of_equal_rows_gets_the_largest_concentration() -> None:
    """As one of a single row: its distances, all 0, say nothing, and a temperature of 0 would divide by it."""
    inner = torch.tensor([1.0, 1.0, 0.5, 0.5, 0.8, 0.8], dtype=torch.float64)
    phi = concentration(inner, torch.tensor([0, 0, 1, 1, 2, 2]), 3, 0.4)
    assert phi[0] == phi[1] > phi[2] > 0


def test_the_measures_order_tight_clusters_oppositely() -> None:
    """A tight cluster gets the larger temperature by similarity and the smaller by distance."""
    inner, index = torch.tensor([0.99, 0.98, 0.5, 0.4]), torch.tensor([0, 0, 1, 1])
    similarity = concentration(inner, index, 2, 1.0, "similarity")
    distance = concentration(inner, index, 2, 1.0, "distance")
    assert similarity[0] > similarity[1]
    assert distance[0] < distance[1]


@pytest.mark.parametrize("spherical", [False, True])
def test_warm_iterations_against_a_loop(spherical: bool) -> None:
    """Assignment by inner product, means, empty clusters unchanged."""
    rows = unit_rows(50, 4)
    start = unit_rows(7, 4, seed=1)
    start[3] = -10 * rows.mean(0) if not spherical else start[3]
    start[5] = 0
    expected = normalize(start, dim=1) if spherical else start.clone()
    for _ in range(3):
        index = torch.stack([torch.stack([row @ c for c in expected]).argmax() for row in rows])
        for k in range(7):
            if (index == k).any():
                mean = rows[index == k].mean(0)
                expected[k] = mean / mean.norm() if spherical else mean
    before = start.clone()
    found = inner_product_kmeans(rows, 7, 3, torch.Generator(), start, spherical)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(start, before)


def test_cold_start_finds_separated_clusters() -> None:
    """Rows around orthogonal axes are recovered; the seed decides everything."""
    index = torch.arange(200) % 4
    rows = normalize(torch.eye(4)[index] + 0.05 * unit_rows(200, 4).float(), dim=1)
    # one seed may merge two axes, as k-means does; the best of a few does not
    runs = [inner_product_kmeans(rows, 4, 10, torch.Generator().manual_seed(s), spherical=True) for s in range(10)]
    best = max(runs, key=lambda centroids: float(assign(rows, centroids)[1].sum()))
    found, inner = assign(rows, best)
    assert len(torch.unique(found * 4 + index)) == 4
    assert inner.min() > 0.9
    again = inner_product_kmeans(rows, 4, 10, torch.Generator().manual_seed(3), spherical=True)
    assert torch.equal(again, runs[3])


def test_empty_clusters_are_moved_on_a_cold_start() -> None:
    """With repeated rows some clusters stay empty; each then sits on one of the rows."""
    rows = torch.eye(3)[torch.tensor([0, 0, 0, 1, 1, 2])]
    found = inner_product_kmeans(rows, 5, 4, torch.Generator().manual_seed(0), spherical=False)
    assert all(any(torch.equal(c, row) for row in rows) for c in found)


def test_assignment_goes_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many rows are assigned some at a time, to the same clusters."""
    rows, centroids = unit_rows(23, 4), unit_rows(3, 4, seed=1)
    whole = assign(rows, centroids)
    monkeypatch.setattr(clustering, "_PAIRS", 15)
    parts = assign(rows, centroids)
    assert torch.equal(parts[0], whole[0])
    torch.testing.assert_close(parts[1], whole[1])


def test_no_gradient_leaves() -> None:
    """Rows with a gradient give constants."""
    rows = unit_rows(12, 3).requires_grad_()
    centroids = inner_product_kmeans(rows, 3, 2, torch.Generator().manual_seed(0))
    index, inner = assign(rows, centroids)
    assert not centroids.requires_grad
    assert not inner.requires_grad
    assert not concentration(inner, index, 3, 0.4).requires_grad


def test_bad_input_is_named() -> None:
    """More clusters than rows, centroids of another run, an unknown measure."""
    rows, generator = unit_rows(5, 3), torch.Generator()
    with pytest.raises(ValueError, match="between 1 and 5"):
        inner_product_kmeans(rows, 6, 1, generator)
    with pytest.raises(ValueError, match="same k"):
        inner_product_kmeans(rows, 2, 1, generator, rows[:3])
    with pytest.raises(ValueError, match="'distance'"):
        concentration(rows[:, 0], torch.zeros(5, dtype=torch.long), 1, 1.0, "angle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="smoothing = -1"):
        concentration(rows[:, 0], torch.zeros(5, dtype=torch.long), 1, 1.0, smoothing=-1)
