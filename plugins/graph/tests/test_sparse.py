"""Constant matrices applied to trainable features."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast_graph.sparse import Adjacency


def random_matrix(n: int, m: int, density: float, seed: int = 0) -> np.ndarray:
    """A dense array with the given share of non-zeros."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, m)) * (rng.random((n, m)) < density)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.floats(0, 1), st.sampled_from([0.0, 0.2, 1.0]))
def test_product_and_gradient_equal_the_dense_ones(n, m, d, density, dense_above):
    """A h and A^T g, whichever way the matrix is stored, empty rows and matrices included."""
    dense = random_matrix(n, m, density, seed=n + 10 * m)
    adjacency = Adjacency.from_scipy(sp.coo_array(dense), dense_above=dense_above)
    generator = torch.Generator().manual_seed(d)
    h = torch.randn(m, d, generator=generator, dtype=torch.float64, requires_grad=True)
    cotangent = torch.randn(n, d, generator=generator, dtype=torch.float64)
    product = adjacency @ h
    product.backward(cotangent)
    torch.testing.assert_close(product.detach(), torch.tensor(dense) @ h.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(h.grad, torch.tensor(dense).t() @ cotangent, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dense_above", [0.0, 1.0])
def test_second_derivatives_exist(dense_above):
    """The backward pass is differentiable itself."""
    adjacency = Adjacency.from_scipy(random_matrix(5, 4, 0.5), dense_above=dense_above)
    h = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: (adjacency @ x) ** 2, (h,))


def test_storage_follows_the_density():
    """CSR up to the limit, dense above it."""
    assert Adjacency.from_scipy(sp.eye_array(50)).is_sparse
    assert not Adjacency.from_scipy(np.ones((5, 5))).is_sparse
    assert not Adjacency.from_scipy(sp.eye_array(50), dense_above=0.01).is_sparse


def test_types_are_kept_or_chosen():
    """float64 stays, integers become float32, and `to` converts both halves."""
    matrix = sp.csr_array(random_matrix(6, 5, 0.3))
    assert Adjacency.from_scipy(matrix).dtype == torch.float64
    assert Adjacency.from_scipy(matrix.astype(np.int64)).dtype == torch.float32
    for dense_above in (0.0, 1.0):
        adjacency = Adjacency.from_scipy(matrix, dense_above=dense_above)
        single = adjacency.to("cpu", torch.float32)
        h = torch.ones(5, 2, requires_grad=True)
        (single @ h).sum().backward()
        torch.testing.assert_close(h.grad[:, 0], torch.tensor(matrix.toarray().sum(0), dtype=torch.float32))
        assert adjacency.to("cpu") is adjacency
        torch.testing.assert_close(adjacency.to_dense(), torch.tensor(matrix.toarray()))


def test_duplicates_are_summed_and_the_input_is_left_alone():
    """COO input may repeat entries; the caller's matrix does not change."""
    matrix = sp.coo_array(([1.0, 2.0, 0.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    adjacency = Adjacency.from_scipy(matrix)
    assert adjacency.to_dense().tolist() == [[0, 3], [0, 0]]
    assert matrix.nnz == 3


def test_copies_share_the_constant():
    """What holds an adjacency can be copied; the constant itself is shared between copies."""
    original = Adjacency.from_scipy(sp.eye_array(8, dtype=np.float32))
    assert copy.deepcopy([original])[0] is original


@pytest.mark.parametrize("dense_above", [0.0, 1.0])
def test_pickles_load_in_a_fresh_process_without_warnings(tmp_path, dense_above):
    """Both layouts survive pickling, and torch's beta warning about CSR does not leak."""
    original = Adjacency.from_scipy(sp.eye_array(8, dtype=np.float32), dense_above=dense_above)
    assert "8" in repr(original)
    file = tmp_path / "adjacency.pkl"
    file.write_bytes(pickle.dumps(original))
    code = (
        "import pathlib, pickle, sys, warnings, torch, contrast_graph.sparse\n"
        "warnings.simplefilter('error')\n"
        "matrix = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "h = torch.ones(8, 2, requires_grad=True)\n"
        "(matrix @ h).sum().backward()\n"
        "assert h.grad.sum() == 16 and matrix.to(dtype=torch.float64).dtype == torch.float64\n"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)


def test_bad_input_is_named():
    """Shapes, types and NaN are refused with the remedy."""
    adjacency = Adjacency.from_scipy(sp.eye_array(4, dtype=np.float32))
    with pytest.raises(ValueError, match=r"shape \(4, d\)"):
        adjacency @ torch.ones(3, 2)
    with pytest.raises(ValueError, match=r"adjacency\.to"):
        adjacency @ torch.ones(4, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="NaN"):
        Adjacency.from_scipy(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="two dimensions"):
        Adjacency.from_scipy(np.ones(3))
