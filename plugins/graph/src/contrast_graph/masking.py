"""The masked copies of MEOW's fine-grained views: fixed random subsets of edges and of feature entries.

MEOW (SDM 2023) and AdaMEOW (IEEE TKDE 2024, arXiv 2212.13847); both draw the masks once, before training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from contrast_graph.metapaths import canonical, normalise


def mask_edges(
    matrix: Any,
    ratio: float,
    order: npt.NDArray[np.integer[Any]] | np.random.Generator,
    dtype: npt.DTypeLike = np.float32,
) -> Any:
    """Drop a share of the directed edges of T and normalise what is left.

    The diagonal is removed, the E remaining non-zeros are listed row by row and put in ``order``, the first
    int(ratio E) are dropped, the others become 1 (counts are lost), the identity is added, and the sum goes
    through :func:`contrast_graph.metapaths.normalise` (with its transpose). (i, j) and (j, i) are separate
    edges.

    Args:
        matrix: T, (N, N), as from :func:`contrast_graph.metapaths.pathsim_topk` (counts, not normalised).
        ratio: share of dropped edges, in [0, 1].
        order: a permutation of 0..E-1, or the generator that draws one.
        dtype: type of the result.

    Returns:
        CSR (N, N), normalised.

    Raises:
        ValueError: the ratio is outside [0, 1] or ``order`` is no permutation of the edges.
    """
    _check_ratio(ratio)
    edges = canonical(matrix).tocoo()
    proper = edges.row != edges.col
    rows, columns = edges.row[proper], edges.col[proper]
    if isinstance(order, np.random.Generator):
        order = order.permutation(rows.size)
    elif not np.array_equal(np.sort(order), np.arange(rows.size)):
        raise ValueError(f"The order must be a permutation of the {rows.size} edges without self loops.")
    kept = order[int(ratio * rows.size) :]
    masked = sp.csr_array((np.ones(kept.size), (rows[kept], columns[kept])), shape=edges.shape)
    return normalise(masked + sp.eye_array(edges.shape[0]), dtype)


def mask_features(features: Any, ratio: float, positions: npt.NDArray[np.integer[Any]] | np.random.Generator) -> Any:
    """Set int(ratio nnz) of the non-zero entries of X to zero; rows are not normalised again.

    Args:
        features: X, (N, d), scipy sparse or numpy, already row-normalised.
        ratio: share of the non-zeros to hide, in [0, 1].
        positions: which ones, numbered row by row, or the generator that draws them without replacement.

    Returns:
        CSR (N, d) of the remaining entries, in the type of ``features``.

    Raises:
        ValueError: the ratio is outside [0, 1], or ``positions`` are not int(ratio nnz) different non-zeros.
    """
    _check_ratio(ratio)
    masked = canonical(features)
    hidden = int(ratio * masked.nnz)
    if isinstance(positions, np.random.Generator):
        positions = positions.choice(masked.nnz, hidden, replace=False)
    else:
        distinct = np.unique(positions)
        inside = distinct.size == 0 or (distinct[0] >= 0 and distinct[-1] < masked.nnz)
        if distinct.size != hidden or len(positions) != hidden or not inside:
            raise ValueError(
                f"The positions must be {hidden} different numbers in 0..{masked.nnz - 1}: "
                f"int({ratio} x {masked.nnz}) of the non-zeros, counted row by row."
            )
    masked.data[positions] = 0
    masked.eliminate_zeros()
    return masked


def _check_ratio(ratio: float) -> None:
    if not 0 <= ratio <= 1:
        raise ValueError(f"The masking ratio is {ratio}; it must lie between 0 and 1.")
