"""Meta-path adjacencies: path counts, the PathSim neighbours worth keeping, and their normalisation.

MEOW (SDM 2023) and AdaMEOW (IEEE TKDE 2024, arXiv 2212.13847) prepare these once before training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Ties = Literal["random", "first", "authors"]


def canonical(matrix: Any) -> Any:
    """A fresh CSR array with sorted, summed, non-zero entries; booleans become integers.

    Raises:
        ValueError: the matrix has not two dimensions.
    """
    if getattr(matrix, "ndim", 0) != 2:
        raise ValueError("A matrix with two dimensions is needed; pass a scipy sparse array or a numpy array.")
    csr = sp.csr_array(matrix, copy=True)
    if csr.dtype == np.bool_:
        csr = csr.astype(np.int64)
    csr.sum_duplicates()
    csr.eliminate_zeros()
    return csr


def metapath_counts(incidences: Sequence[Any]) -> Any:
    """How many paths of a symmetric meta-path join two target nodes: A = C C^T with C = B_1 B_2 ... B_L.

    Args:
        incidences: the first half of the meta-path, e.g. ``[paper_author]`` for paper-author-paper or
            ``[author_paper, paper_conference]`` for author-paper-conference-paper-author; B_l has shape
            (n_(l-1), n_l) and entries 0/1.

    Returns:
        CSR (N, N) with the counts, float64; the diagonal is included, a node without neighbours has none.

    Raises:
        ValueError: no incidence is given or neighbouring shapes do not fit.
    """
    if not incidences:
        raise ValueError("A meta-path needs at least one incidence matrix; pass for example [paper_author].")
    chain = canonical(incidences[0]).astype(np.float64)
    for step, incidence in enumerate(incidences[1:], start=1):
        following = canonical(incidence).astype(np.float64)
        if chain.shape[1] != following.shape[0]:
            raise ValueError(
                f"Incidence {step} has {following.shape[0]} rows but incidence {step - 1} has "
                f"{chain.shape[1]} columns; order them along the meta-path and transpose where needed."
            )
        chain = chain @ following
    return canonical(chain @ chain.T)


def pathsim_topk(
    counts: Any, k: int, *, ties: Ties = "random", generator: np.random.Generator | int | None = None
) -> Any:
    """Keep, per row, the k entries of largest PathSim s_ij = 2 A_ij / (A_ii + A_jj), with their raw counts.

    Rows with at most k entries are kept whole. The result is not symmetric.

    Args:
        counts: (N, N) meta-path counts A with their diagonal, see :func:`metapath_counts`.
        k: entries kept per row, the self pair included.
        ties: which of equally similar nodes stay. ``"random"``: a random choice, drawn for every row;
            ``"first"``: those of smallest index. Both always keep the self pair. ``"authors"``: what the
            official code does, the last k of numpy's default (unstable) argsort of the dense row - it may
            drop the self pair, and on graphs whose nodes are stored by class (ACM) it leaks the label through
            the node order; it also depends on the numpy build and the CPU.
        generator: a numpy generator or a seed, needed for ``"random"``.

    Returns:
        CSR (N, N) of the kept counts, in the type of ``counts``.

    Raises:
        ValueError: a matrix that is not square, has negative counts or lacks its diagonal; k < 1; unknown
            ties; no generator for random ties.
    """
    counts = canonical(counts)
    rows, columns, similarity = _pathsim(counts)
    if k < 1:
        raise ValueError(f"The number of kept neighbours is {k}; it must be at least 1.")
    if ties == "authors":
        kept = _last_of_argsort(counts, similarity, k)
    elif ties == "random":
        if generator is None:
            raise ValueError("Random ties need a generator; pass generator=0 or numpy.random.default_rng(0).")
        kept = _first_of_sort(rows, columns, similarity, k, np.random.default_rng(generator))
    elif ties == "first":
        kept = _first_of_sort(rows, columns, similarity, k, None)
    else:
        raise ValueError(f"Unknown tie rule {ties!r}; use 'random', 'first' or 'authors'.")
    return sp.csr_array((counts.data[kept], (rows[kept], columns[kept])), shape=counts.shape)


def normalise(matrix: Any, dtype: npt.DTypeLike = np.float32) -> Any:
    """D^-1/2 T^T D^-1/2 with D the row sums of T; empty rows give zeros.

    Mind the transpose, which is the authors': with T from :func:`pathsim_topk` node i then listens to the
    nodes that list i, not to those that i lists.

    Returns:
        CSR (N, N) of type ``dtype``.

    Raises:
        ValueError: T is not square or has negative entries.
    """
    csr = canonical(matrix)
    _check_square(csr)
    degree = np.asarray(csr.sum(axis=1), dtype=np.float64)
    scale = np.zeros_like(degree)
    np.power(degree, -0.5, out=scale, where=degree > 0)
    coo = csr.tocoo()
    values = (coo.data * scale[coo.row] * scale[coo.col]).astype(dtype)
    return sp.csr_array((values, (coo.col, coo.row)), shape=csr.shape)


def row_normalise(matrix: Any, dtype: npt.DTypeLike = np.float32) -> Any:
    """Rows divided by the sums of their absolute values: bag-of-words features, or the mean over neighbours.

    Empty rows stay zero. For a 0/1 incidence B this is D^-1 B with D = max(degree, 1), the operator of MEOW's
    meta-path context. The authors divide by plain sums, which is the same for entries >= 0; where signs are mixed
    (dense features, a truncated SVD) a plain sum may be near zero or negative.

    Returns:
        CSR of the same shape and type ``dtype``.
    """
    csr = canonical(matrix)
    total = np.asarray(abs(csr).sum(axis=1), dtype=np.float64)
    values = csr.data / np.repeat(np.where(total == 0, 1.0, total), np.diff(csr.indptr))
    return sp.csr_array((values.astype(dtype), csr.indices, csr.indptr), shape=csr.shape)


def _check_square(csr: Any) -> None:
    if csr.shape[0] != csr.shape[1]:
        raise ValueError(f"A meta-path adjacency must be square, not of shape {csr.shape}; use metapath_counts(...).")
    if csr.nnz and csr.data.min() < 0:
        raise ValueError("A meta-path adjacency has negative entries; pass path counts.")


def _pathsim(counts: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Row, column and PathSim of every stored entry."""
    _check_square(counts)
    rows = np.repeat(np.arange(counts.shape[0], dtype=counts.indices.dtype), np.diff(counts.indptr))
    diagonal = counts.diagonal()
    if not diagonal[rows].all():
        raise ValueError("A node with neighbours has no path to itself; PathSim needs the counts with their diagonal.")
    # Written like this the value is the correctly rounded one, so equal similarities are equal numbers.
    return rows, counts.indices, 2 * counts.data / (diagonal[rows] + diagonal[counts.indices])


def _first_of_sort(
    rows: npt.NDArray[Any],
    columns: npt.NDArray[Any],
    similarity: npt.NDArray[np.float64],
    k: int,
    generator: np.random.Generator | None,
) -> npt.NDArray[np.bool_]:
    """Mask of the k best entries per row: the self pair, then by similarity, then by the tie rule."""
    lengths = np.bincount(rows)
    crowded = np.flatnonzero(lengths[rows] > k)  # only these rows have to be sorted
    row, column = rows[crowded], columns[crowded]
    distance = np.where(row == column, -np.inf, -similarity[crowded])
    tie = column if generator is None else generator.random(crowded.size, dtype=np.float32)
    order = np.lexsort((tie, distance, row))
    lengths = lengths[lengths > k]
    rank = np.arange(crowded.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = np.ones(rows.size, dtype=np.bool_)
    kept[crowded[order[rank >= k]]] = False
    return kept


def _last_of_argsort(
    counts: Any, similarity: npt.NDArray[np.float64], k: int, block: int = 256
) -> npt.NDArray[np.bool_]:
    """Mask of the entries among the last k of numpy's default argsort of each dense row."""
    matrix = sp.csr_array((similarity, counts.indices, counts.indptr), shape=counts.shape)
    kept = np.zeros(similarity.size, dtype=np.bool_)
    for start in range(0, counts.shape[0], block):
        dense = matrix[start : start + block].toarray()
        chosen = np.zeros(dense.shape, dtype=np.bool_)
        np.put_along_axis(chosen, np.argsort(dense, axis=1)[:, -k:], True, axis=1)
        stop = min(start + block, counts.shape[0])
        entries = slice(counts.indptr[start], counts.indptr[stop])
        local = np.repeat(np.arange(stop - start), np.diff(counts.indptr[start : stop + 1]))
        kept[entries] = chosen[local, counts.indices[entries]]
    return kept
