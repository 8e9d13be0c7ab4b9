"""Meta-path counts, PathSim top-k and normalisation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast_graph.data.matrices import incidence as incidence_of
from contrast_graph.metapaths import metapath_counts, normalise, pathsim_topk, row_normalise


def incidence(n: int, m: int, density: float, seed: int) -> np.ndarray:
    """A random 0/1 matrix."""
    return (np.random.default_rng(seed).random((n, m)) < density).astype(np.float64)


def pathsim_loop(counts: np.ndarray) -> np.ndarray:
    """PathSim of every pair, entry by entry."""
    s = np.zeros(counts.shape)
    for i, j in zip(*counts.nonzero(), strict=True):
        s[i, j] = 2 * counts[i, j] / (counts[i, i] + counts[j, j])
    return s


graphs = st.tuples(st.integers(1, 14), st.integers(1, 6), st.floats(0, 0.9), st.integers(0, 99))


@pytest.mark.parametrize("ties", ["random", "first", "authors"])
def test_golden_topk_and_normalisation(golden, ties):
    """The authors' kept counts (exact) and normalised adjacencies (float32); no ties occur in them."""
    for case in golden("pathsim_topk"):
        for index, k in enumerate(case["meta"]["params"]["k"]):
            kept = pathsim_topk(case[f"in_adj{index}"].numpy(), k, ties=ties, generator=0)
            np.testing.assert_array_equal(kept.toarray(), case[f"out_topk{index}"].numpy())
            expected = case[f"out_normalized{index}"].numpy()
            assert normalise(kept).dtype == np.float32
            np.testing.assert_allclose(normalise(kept).toarray(), expected, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(graphs, st.integers(1, 16), st.sampled_from(["random", "first", "authors"]))
def test_topk_keeps_the_largest_of_every_row(graph, k, ties):
    """The kept similarities are the k largest, with raw counts; the self pair stays but for the authors."""
    counts = metapath_counts([incidence(*graph)])
    dense = counts.toarray()
    s = pathsim_loop(dense)
    kept = pathsim_topk(counts, k, ties=ties, generator=3).toarray()
    for i in range(len(dense)):
        row = kept[i] > 0
        assert row.sum() == min(k, (dense[i] > 0).sum())
        np.testing.assert_array_equal(np.sort(s[i][row]), np.sort(s[i][s[i] > 0])[::-1][: row.sum()][::-1])
        np.testing.assert_array_equal(kept[i][row], dense[i][row])
        assert ties == "authors" or dense[i, i] == 0 or row[i]


@settings(max_examples=30, deadline=None)
@given(graphs, st.integers(1, 16))
def test_authors_order_is_numpys_argsort(graph, k):
    """Rule "authors" equals argsort of each dense similarity row, last k, in a plain loop."""
    dense = metapath_counts([incidence(*graph)]).toarray()
    expected = np.zeros_like(dense)
    for i, row in enumerate(pathsim_loop(dense)):
        chosen = np.argsort(row)[-k:]
        expected[i, chosen] = dense[i, chosen]
    np.testing.assert_array_equal(pathsim_topk(dense, k, ties="authors").toarray(), expected)


def test_authors_order_crosses_blocks():
    """More rows than one block of the dense sort."""
    dense = metapath_counts([incidence(600, 5, 0.3, 1)]).toarray()
    s = pathsim_loop(dense)
    expected = np.zeros_like(dense)
    for i, row in enumerate(s):
        chosen = np.argsort(row)[-9:]
        expected[i, chosen] = dense[i, chosen]
    np.testing.assert_array_equal(pathsim_topk(dense, 9, ties="authors").toarray(), expected)


def test_all_ties_are_broken_evenly_and_reproducibly():
    """In one clique every other node is kept equally often; the same seed gives the same choice."""
    n, k = 40, 10
    clique = metapath_counts([np.ones((n, 1))])
    rng = np.random.default_rng(0)
    listed = sum(pathsim_topk(clique, k, generator=rng).toarray().sum(0) - 1 for _ in range(60))
    expected = 60 * (k - 1)
    assert abs(listed - expected).max() < 5 * np.sqrt(expected)
    once, again = (pathsim_topk(clique, k, generator=7) for _ in range(2))
    assert (once != again).nnz == 0
    assert (once.diagonal() == 1).all()
    rows = pathsim_topk(clique, 3, ties="first").toarray().nonzero()[1].reshape(n, 3)
    assert rows[0].tolist() == [0, 1, 2]
    assert rows[-1].tolist() == [0, 1, n - 1]


def test_counts_are_paths():
    """Entries count the paths of a longer meta-path, isolated nodes have an empty row."""
    ap, pc = incidence(6, 5, 0.5, 0), incidence(5, 3, 0.5, 1)
    ap[2] = 0
    counts = metapath_counts([sp.coo_array(ap), sp.csr_matrix(pc.astype(bool))]).toarray()
    for i in range(6):
        for j in range(6):
            paths = sum(ap[i, p] * pc[p, c] * pc[q, c] * ap[j, q] for p in range(5) for c in range(3) for q in range(5))
            assert counts[i, j] == paths
    assert not counts[2].any()
    assert not pathsim_topk(counts, 2, generator=0).toarray()[2].any()


@settings(max_examples=40, deadline=None)
@given(graphs)
def test_normalise_is_the_transposed_formula(graph):
    """D^-1/2 T^T D^-1/2 with row sums, entry by entry, for an asymmetric T with empty rows."""
    n = graph[0]
    t = incidence(n, n, graph[2], graph[3]) * np.random.default_rng(0).integers(1, 5, (n, n))
    degree = t.sum(1)
    expected = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if degree[i] and degree[j]:
                expected[i, j] = t[j, i] / np.sqrt(degree[i] * degree[j])
    np.testing.assert_allclose(normalise(t, np.float64).toarray(), expected, rtol=1e-12)


def test_row_normalise_is_the_mean_over_neighbours():
    """Rows sum to one, empty ones stay zero; integer counts and booleans work."""
    b = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]])
    expected = [[0.5, 0, 0.5], [0, 0, 0], [1 / 3] * 3]
    for matrix in (b, b.astype(bool), sp.coo_array(b)):
        np.testing.assert_allclose(row_normalise(matrix, np.float64).toarray(), expected)


def test_inputs_are_not_changed():
    """The caller's matrix keeps its entries, also explicit zeros."""
    matrix = sp.csr_array((np.array([1.0, 0.0, 1.0]), np.array([0, 1, 1]), np.array([0, 2, 3])), shape=(2, 2))
    pathsim_topk(matrix, 1, generator=0)
    normalise(matrix)
    assert matrix.nnz == 3


def test_bad_input_is_named():
    """Every error says what would be right."""
    eye = sp.eye_array(3)
    with pytest.raises(ValueError, match="at least one incidence"):
        metapath_counts([])
    with pytest.raises(ValueError, match="transpose"):
        metapath_counts([np.ones((2, 3)), np.ones((2, 3))])
    with pytest.raises(ValueError, match="square"):
        pathsim_topk(np.ones((2, 3)), 1, generator=0)
    with pytest.raises(ValueError, match="negative"):
        normalise(-eye)
    with pytest.raises(ValueError, match="diagonal"):
        pathsim_topk(np.array([[0, 1], [1, 0]]), 1, generator=0)
    with pytest.raises(ValueError, match="at least 1"):
        pathsim_topk(eye, 0, generator=0)
    with pytest.raises(ValueError, match="generator=0"):
        pathsim_topk(eye, 1)
    with pytest.raises(ValueError, match="'first'"):
        pathsim_topk(eye, 1, ties="last")
    with pytest.raises(ValueError, match="two dimensions"):
        normalise(np.ones(3))


def test_metapaths_are_those_of_torch_geometric(authors):
    """Who is joined by a meta-path agrees with torch_geometric's AddMetaPaths."""
    with warnings.catch_warnings():
        # Its import uses what torch deprecates, and its products announce torch's sparse layout.
        warnings.simplefilter("ignore")
        from torch_geometric.transforms import AddMetaPaths

        paths = [[(a, b) for a, _, b in path] for path in authors.metapaths.values()]
        found = AddMetaPaths(paths)(authors.graph)
    for number, name in enumerate(authors.metapaths):
        expected = incidence_of(found, ("author", f"metapath_{number}", "author")).toarray()
        counts = metapath_counts(authors.half_incidences(name)).toarray()
        np.testing.assert_array_equal(counts > 0, expected > 0)
