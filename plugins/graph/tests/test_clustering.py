"""Inner-product k-means and concentrations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from contrast_graph.clustering import assign, concentration, inner_product_kmeans


def unit_rows(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Random unit vectors, float64."""
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def concentration_loop(distance, assignment, k, temperature):
    """The formula cluster by cluster in numpy."""
    phi, small = np.zeros(k), []
    for cluster in range(k):
        own = distance[assignment == cluster]
        if len(own) < 2:
            small.append(cluster)
        else:
            phi[cluster] = np.sqrt(np.maximum(own, 0)).mean() / np.log(len(own) + 5)
    phi[small] = phi.max()
    phi = phi.clip(np.percentile(phi, 10), np.percentile(phi, 90))
    return temperature * phi / phi.mean()


def test_golden_assignments_prototypes_and_concentrations(golden):
    """The authors' step after k-means, from given raw centroids."""
    for case in golden("prototypes_density"):
        params = case["meta"]["params"]
        for m, k in enumerate(params["num_clusters"]):
            centroids = case[f"in_raw_centroids{m}"]
            index, inner = assign(case["in_z"], centroids)
            assert torch.equal(index, case[f"out_assign{m}"])
            phi = concentration(inner, index, k, params["tau"])
            torch.testing.assert_close(phi, case[f"out_density{m}"], rtol=1e-10, atol=0)
            prototypes = normalize(centroids, dim=1)
            torch.testing.assert_close(prototypes, case[f"out_centroids{m}"], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("measure", ["similarity", "distance"])
def test_concentration_against_a_loop(measure):
    """Clusters with no row, one row and negative inner products included."""
    rng = np.random.default_rng(0)
    inner = rng.uniform(-0.3, 1, 40)
    index = np.concatenate([[7], rng.integers(0, 6, 39)])  # 7 has one row, 6 and 8 none
    distance = inner if measure == "similarity" else 2 - 2 * inner
    phi = concentration(torch.tensor(inner), torch.tensor(index), 9, 0.4, measure)
    np.testing.assert_allclose(phi.numpy(), concentration_loop(distance, index, 9, 0.4), rtol=1e-12)


def test_concentration_without_information_is_the_temperature():
    """Only one-point clusters, or only zero similarities."""
    inner = torch.ones(3, dtype=torch.float64)
    expected = torch.full((4,), 0.7, dtype=torch.float64)
    assert torch.equal(concentration(inner, torch.tensor([0, 1, 2]), 4, 0.7), expected)
    assert torch.equal(concentration(-inner, torch.tensor([0, 0, 0]), 4, 0.7), expected)


def test_the_measures_order_tight_clusters_oppositely():
    """A tight cluster gets the larger temperature by similarity and the smaller by distance."""
    inner, index = torch.tensor([0.99, 0.98, 0.5, 0.4]), torch.tensor([0, 0, 1, 1])
    similarity = concentration(inner, index, 2, 1.0)
    distance = concentration(inner, index, 2, 1.0, "distance")
    assert similarity[0] > similarity[1]
    assert distance[0] < distance[1]


@pytest.mark.parametrize("spherical", [False, True])
def test_warm_iterations_against_a_loop(spherical):
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


def test_cold_start_finds_separated_clusters():
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


def test_empty_clusters_are_moved_on_a_cold_start():
    """With repeated rows some clusters stay empty; each then sits on one of the rows."""
    rows = torch.eye(3)[torch.tensor([0, 0, 0, 1, 1, 2])]
    found = inner_product_kmeans(rows, 5, 4, torch.Generator().manual_seed(0))
    assert all(any(torch.equal(c, row) for row in rows) for c in found)


def test_no_gradient_leaves():
    """Rows with a gradient give constants."""
    rows = unit_rows(12, 3).requires_grad_()
    centroids = inner_product_kmeans(rows, 3, 2, torch.Generator().manual_seed(0))
    index, inner = assign(rows, centroids)
    assert not centroids.requires_grad
    assert not inner.requires_grad
    assert not concentration(inner, index, 3, 0.4).requires_grad


def test_bad_input_is_named():
    """More clusters than rows, centroids of another run, an unknown measure."""
    rows, generator = unit_rows(5, 3), torch.Generator()
    with pytest.raises(ValueError, match="between 1 and 5"):
        inner_product_kmeans(rows, 6, 1, generator)
    with pytest.raises(ValueError, match="same k"):
        inner_product_kmeans(rows, 2, 1, generator, rows[:3])
    with pytest.raises(ValueError, match="'distance'"):
        concentration(rows[:, 0], torch.zeros(5, dtype=torch.long), 1, 1.0, "angle")
