"""Matrices of a heterogeneous graph: incidences, features, and how they are stored.

This is also the one place that imports torch_geometric, whose import warns under recent torch versions.
"""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

with warnings.catch_warnings():
    # torch_geometric scripts a class at import, which recent torch versions deprecate; no user can mend it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.data import HeteroData
    from torch_geometric.data.storage import BaseStorage, EdgeStorage, NodeStorage

__all__ = [
    "SPARSE_BELOW",
    "BaseStorage",
    "EdgeStorage",
    "EdgeType",
    "HeteroData",
    "NodeStorage",
    "feature_tensor",
    "features",
    "incidence",
]

EdgeType: TypeAlias = tuple[str, str, str]

SPARSE_BELOW = 0.1
"""Features with a smaller share of non-zeros are kept as sparse tensors."""


def incidence(graph: HeteroData, edge_type: EdgeType) -> Any:
    """B of an edge type as a scipy CSR array (n_source, n_destination), float64 0/1; repeats count once.

    Raises:
        ValueError: the graph has no such edge type.
    """
    if edge_type not in graph.edge_types:
        raise ValueError(f"The graph has no edge type {edge_type}; its edge types are {graph.edge_types}.")
    rows, columns = graph[edge_type].edge_index.cpu().numpy()
    shape = (int(graph[edge_type[0]].num_nodes), int(graph[edge_type[2]].num_nodes))
    matrix = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def features(graph: HeteroData, node_type: str) -> Any:
    """The features of a type: a scipy CSR array where stored sparse, else numpy; None without any."""
    x = graph[node_type].get("x")
    if x is None:
        return None
    if x.layout == torch.strided:
        return x.cpu().numpy()
    x = x.to_sparse_coo().coalesce().cpu()
    return sp.csr_array((x.values().numpy(), tuple(x.indices().numpy())), shape=tuple(x.shape))


def feature_tensor(matrix: Any) -> Tensor:
    """Float32 features as the container keeps them: sparse COO below 10 % non-zeros, else dense."""
    coo = sp.coo_array(sp.csr_array(matrix))  # through CSR, so that the order is by rows and duplicates are summed
    if coo.nnz >= SPARSE_BELOW * coo.shape[0] * coo.shape[1]:
        return torch.from_numpy(coo.toarray().astype(np.float32))
    indices = torch.from_numpy(np.stack(coo.coords).astype(np.int64))
    values = torch.from_numpy(coo.data.astype(np.float32))
    return torch.sparse_coo_tensor(indices, values, coo.shape, check_invariants=True).coalesce()
