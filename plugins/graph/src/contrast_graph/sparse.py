"""Constant matrices (adjacencies, incidences, bag-of-words features) multiplied with trainable dense ones."""

from __future__ import annotations

import warnings
from typing import Any, final

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

# Measured on one CPU core with MKL: the ACM subject meta-path (13 % full, 4019 x 4019, 64 columns) takes 10
# ms as CSR and 25 ms dense, so CSR stops paying only at about 25 %. It also needs less memory up to there.
DENSE_ABOVE = 0.2


@final
class Adjacency:
    """A constant matrix A of shape (n, m); ``A @ h`` has a gradient with respect to h only.

    Forward A h, backward A^T g. A is kept as CSR together with the CSR of its transpose (the backward pass
    would otherwise transpose in every step) when at most the fraction ``dense_above`` of its entries is
    non-zero, and as one dense matrix above. It is no parameter: move it with :meth:`to`.

    Build it with :meth:`from_scipy`.
    """

    def __init__(self, matrix: Tensor, transpose: Tensor) -> None:
        """Wrap A and A^T, both dense or both CSR."""
        self._matrix = matrix
        self._transpose = transpose

    @classmethod
    def from_scipy(
        cls, matrix: Any, *, dtype: torch.dtype | None = None, dense_above: float = DENSE_ABOVE
    ) -> Adjacency:
        """Take over a scipy sparse matrix or array, or a dense numpy array.

        Args:
            matrix: shape (n, m), any scipy layout; duplicates are summed.
            dtype: float32 or float64; by default the matrix's own if it is one of them, else float32.
            dense_above: share of non-zeros in [0, 1] above which the matrix is stored dense.

        Raises:
            ValueError: the matrix has not two dimensions or contains NaN or Inf.
        """
        if getattr(matrix, "ndim", 0) != 2:
            raise ValueError("An adjacency needs two dimensions; pass a scipy sparse (n, m) array.")
        csr = sp.csr_array(matrix, copy=True)
        csr.sum_duplicates()
        if dtype is None:
            dtype = torch.float64 if csr.dtype == np.float64 else torch.float32
        csr = csr.astype(np.float64 if dtype == torch.float64 else np.float32)
        csr.eliminate_zeros()
        if not np.isfinite(csr.data).all():
            raise ValueError("The adjacency contains NaN or Inf; normalise it so that empty rows stay zero.")
        rows, columns = csr.shape
        if csr.nnz > dense_above * rows * columns:
            dense = torch.from_numpy(csr.toarray()).to(dtype)
            return cls(dense, dense.t())
        return cls(_to_torch(csr, dtype), _to_torch(csr.T.tocsr(), dtype))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return self._matrix.shape[0], self._matrix.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """The floating type; features must have the same one."""
        return self._matrix.dtype

    @property
    def device(self) -> torch.device:
        """Where the matrix lies."""
        return self._matrix.device

    @property
    def is_sparse(self) -> bool:
        """Whether it is stored as CSR."""
        return self._matrix.layout == torch.sparse_csr

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Adjacency:
        """The same matrix on another device or in another floating type (itself if nothing changes)."""
        matrix = self._matrix.to(device=device or self.device, dtype=dtype or self.dtype)
        if matrix is self._matrix:
            return self
        if not self.is_sparse:
            return Adjacency(matrix, matrix.t())  # a view: the dense transpose costs no memory
        return Adjacency(matrix, self._transpose.to(device=matrix.device, dtype=matrix.dtype))

    def to_dense(self) -> Tensor:
        """The matrix as an ordinary (n, m) tensor."""
        return self._matrix.to_dense()

    def __matmul__(self, features: Tensor) -> Tensor:
        """A h for h of shape (m, d), giving (n, d).

        Under autocast h may be of a narrower type; the product is then computed in that of A.

        Raises:
            ValueError: h has the wrong number of rows, or another floating type than A.
        """
        if features.dim() != 2 or features.shape[0] != self.shape[1]:
            raise ValueError(
                f"The matrix has shape {self.shape}, so the features need shape ({self.shape[1]}, d), "
                f"not {tuple(features.shape)}."
            )
        kind = features.device.type
        if torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                return _product(features.to(self.dtype), self._matrix, self._transpose)
        if features.dtype != self.dtype:
            raise ValueError(
                f"The matrix is {self.dtype} and the features are {features.dtype}; "
                f"convert the matrix once with adjacency.to(dtype={features.dtype})."
            )
        return _product(features, self._matrix, self._transpose)

    def __deepcopy__(self, memo: dict[int, Any]) -> Adjacency:
        return self  # a constant can be shared, and torch cannot copy CSR tensors

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.is_sparse:
            return _unpickle, (self._matrix, self._transpose)
        halves = (self._matrix, self._transpose)
        # Taken apart, because torch's own unpickling of CSR warns in a fresh process.
        parts = ((m.crow_indices(), m.col_indices(), m.values(), tuple(m.shape)) for m in halves)
        return _unpickle, tuple(parts)

    def __repr__(self) -> str:
        return f"Adjacency(shape={self.shape}, {'csr' if self.is_sparse else 'dense'}, {self.dtype})"


@final
class _Product(torch.autograd.Function):
    """matrix @ features, whose derivative is the same product with the stored transpose."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
        ctx.constants = (matrix, transpose)
        return matrix @ features

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        matrix, transpose = ctx.constants
        return _product(gradient, transpose, matrix), None, None


def _product(features: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
    result: Tensor = _Product.apply(features, matrix, transpose)  # type: ignore[no-untyped-call]
    return result


def _to_torch(csr: Any, dtype: torch.dtype) -> Tensor:
    """The CSR tensor of a canonical scipy CSR matrix."""
    # 32-bit indices: half the memory, and MKL converts 64-bit ones in every product.
    index = np.int32 if max(csr.nnz, *csr.shape) < 2**31 else np.int64
    pointers, indices = (torch.from_numpy(part.astype(index)) for part in (csr.indptr, csr.indices))
    return _csr(pointers, indices, torch.from_numpy(csr.data).to(dtype), csr.shape)


def _csr(pointers: Tensor, indices: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():  # torch announces once per process that its CSR layout is in beta
        warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)
        return torch.sparse_csr_tensor(pointers, indices, values, size=shape, check_invariants=False)


def _unpickle(*halves: Any) -> Adjacency:
    return Adjacency(*(half if isinstance(half, Tensor) else _csr(*half) for half in halves))
