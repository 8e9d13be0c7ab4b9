"""Masked edges and masked feature entries."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from contrast_graph.masking import mask_edges, mask_features
from contrast_graph.metapaths import normalise


def test_golden_edges(golden):
    """The authors' masked and normalised adjacency for a given order."""
    for case in golden("mask_edges"):
        ratio, order = case["meta"]["params"]["ratio"], case["in_perm"].numpy()
        result = mask_edges(case["in_adj"].numpy(), ratio, order)
        np.testing.assert_allclose(result.toarray(), case["out_masked_normalized"].numpy(), rtol=1e-6)
        assert int(ratio * len(order)) == case["meta"]["params"]["dropped"]


def test_golden_features(golden):
    """The authors' masked features for given positions."""
    for case in golden("mask_features"):
        positions = case["in_masked_nonzero_positions"].numpy()
        result = mask_features(case["in_x"].numpy(), case["meta"]["params"]["ratio"], positions)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result.toarray(), case["out_x_masked"].numpy(), rtol=1e-6)


@pytest.mark.parametrize("ratio", [0.0, 0.37, 1.0])
def test_edges_against_a_loop(ratio):
    """Drop, forget counts, add self loops, normalise: step by step on a dense matrix, one node isolated."""
    rng = np.random.default_rng(0)
    t = rng.integers(0, 3, (9, 9))
    t[4] = t[:, 4] = 0
    edges = [(i, j) for i in range(9) for j in range(9) if i != j and t[i, j]]
    order = rng.permutation(len(edges))
    kept = np.eye(9)
    for position in order[int(ratio * len(edges)) :]:
        kept[edges[position]] = 1
    result = mask_edges(sp.coo_array(t), ratio, order, np.float64).toarray()
    np.testing.assert_allclose(result, normalise(kept, np.float64).toarray(), rtol=1e-12)
    assert result[4, 4] == 1


def test_generators_draw_the_right_number():
    """int(ratio x count) entries vanish, others stay, and the seed decides."""
    rng = np.random.default_rng(1)
    x = rng.random((20, 15)) * (rng.random((20, 15)) < 0.4)
    masked = mask_features(sp.csr_matrix(x), 0.3, np.random.default_rng(5))
    assert masked.nnz == np.count_nonzero(x) - int(0.3 * np.count_nonzero(x))
    dense = masked.toarray()
    np.testing.assert_array_equal(dense[dense > 0], x[dense > 0])
    again = mask_features(x, 0.3, np.random.default_rng(5))
    np.testing.assert_array_equal(again.toarray(), dense)
    t = (x[:15] > 0).astype(int)
    edges = np.count_nonzero(t) - np.count_nonzero(np.diag(t))
    result = mask_edges(t, 0.25, np.random.default_rng(2))
    assert result.nnz == edges - int(0.25 * edges) + 15


def test_empty_matrices_are_fine():
    """Without edges only the identity is left; without features nothing."""
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(mask_edges(np.zeros((3, 3)), 0.5, rng).toarray(), np.eye(3))
    assert mask_features(np.zeros((3, 2)), 0.5, rng).nnz == 0
    assert mask_features(np.zeros((3, 2)), 0.5, np.array([], dtype=int)).nnz == 0


def test_bad_input_is_named():
    """Ratios, orders and positions that cannot be are refused."""
    t = np.ones((3, 3))
    with pytest.raises(ValueError, match="between 0 and 1"):
        mask_edges(t, 1.5, np.arange(6))
    with pytest.raises(ValueError, match="permutation of the 6 edges"):
        mask_edges(t, 0.5, np.array([0, 0, 1, 2, 3, 4]))
    for positions in ([0, 0, 1, 2], [0, 1], [0, 1, 2, 9], [-1, 1, 2, 3]):
        with pytest.raises(ValueError, match="4 different numbers"):
            mask_features(t, 0.5, np.array(positions))
