"""What makes a heterogeneous graph whole: counts, labels, meta-paths by name, and one sentence per defect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from contrast_graph.data.matrices import EdgeType, HeteroData


def node_count(graph: HeteroData, kind: str) -> int:
    """What the store says, else the rows of x or y, else one more than the largest index of its edges."""
    store = graph[kind]
    if "num_nodes" in store:
        return int(store["num_nodes"])
    for key in ("x", "y"):
        if key in store:
            return int(store[key].shape[0])
    ends = [
        graph[edge].edge_index[row]
        for edge in graph.edge_types
        for row, end in ((0, edge[0]), (1, edge[2]))
        if end == kind
    ]
    return max((int(end.max()) + 1 for end in ends if end.numel()), default=0)


def whole_labels(y: Tensor) -> Tensor:
    """Labels as int64; ValueError unless they are whole numbers from -1 in one dimension."""
    if y.dim() != 1 or not torch.equal(y.double(), y.double().round()) or (y.numel() and float(y.min()) < -1):
        raise ValueError("Labels must be one whole number per node, from 0 on, with -1 where unknown.")
    return y.to(torch.int64)


def _reverses(edge: EdgeType) -> list[EdgeType]:
    """How the reverse of an edge type may be called."""
    source, relation, destination = edge
    forth = relation.removeprefix("rev_")
    return [(destination, name, source) for name in dict.fromkeys((relation, forth, f"rev_{forth}"))]


def resolve(graph: HeteroData, name: str, path: list[Any]) -> list[EdgeType]:
    """Edge types of a meta-path given by edge or node types; missing reverse edges are added to the graph."""
    if path and all(isinstance(step, str) for step in path):
        path = [_edge_between(graph, name, a, b) for a, b in pairwise(path)]
    edges: list[EdgeType] = [(step[0], step[1], step[2]) for step in path]
    for edge in edges:
        if edge in graph.edge_types:
            continue
        known = [reverse for reverse in _reverses(edge) if reverse in graph.edge_types]
        if not known:
            raise ValueError(
                f"The meta-path {name!r} needs the edge type {edge}, which the graph lacks both ways; "
                f"its edge types are {graph.edge_types}."
            )
        graph[edge].edge_index = graph[known[0]].edge_index.flip(0)
    return edges


def _edge_between(graph: HeteroData, name: str, source: str, destination: str) -> EdgeType:
    """The one edge type that joins two node types, in either direction."""
    for kind in (source, destination):
        if kind not in graph.node_types:
            raise ValueError(
                f"The meta-path {name!r} names the node type {kind!r}; the graph's are {graph.node_types}."
            )
    forth = [edge for edge in graph.edge_types if (edge[0], edge[2]) == (source, destination)]
    back = [edge for edge in graph.edge_types if (edge[2], edge[0]) == (source, destination)]
    found: list[EdgeType] = forth or [(source, edge[1], destination) for edge in back]
    if len(found) != 1:
        raise ValueError(
            f"The meta-path {name!r} goes from {source!r} to {destination!r}, joined by {len(found)} "
            f"relations; give it as edge types, chosen from {graph.edge_types}."
        )
    return found[0]


def check_target(graph: HeteroData, target: str, names: Sequence[str] | None, classes: Sequence[str] | None) -> None:
    """Features, labels and names of the target fit together."""
    store = graph[target]
    count = int(store.num_nodes)
    if "x" not in store:
        raise ValueError(f"The target type {target!r} has no features; set x with one row per node.")
    for what, length in (("rows of x", store.x.shape[0]), ("labels", store.y.shape[0])):
        if length != count:
            raise ValueError(f"The target type {target!r} has {count} nodes but {length} {what}; give one each.")
    if names is not None and len(names) != count:
        raise ValueError(f"There are {len(names)} names for {count} target nodes; give one for each.")
    if classes is not None and int(store.y.max()) >= len(classes):
        raise ValueError(f"Label {int(store.y.max())} has no name among the {len(classes)} classes; add it.")
    finite = store.x if store.x.layout == torch.strided else store.x.to_sparse_coo().coalesce().values()
    if not bool(torch.isfinite(finite).all()):
        raise ValueError(f"The features of {target!r} contain NaN or Inf; clean them before loading.")


def check_metapath(graph: HeteroData, target: str, name: str, path: list[EdgeType]) -> None:
    """The edges follow each other from target to target, are not empty and stay within their types."""
    ends = [target, *(edge[2] for edge in path)]
    starts = [*(edge[0] for edge in path), target]
    if not path or ends != starts:
        raise ValueError(
            f"The meta-path {name!r} must start and end at {target!r} and each edge must start where the one "
            f"before ends; it is {path}."
        )
    for edge in path:
        if edge not in graph.edge_types:
            raise ValueError(f"The meta-path {name!r} needs {edge}; the edge types are {graph.edge_types}.")
        index = graph[edge].edge_index
        if index.shape[1] == 0:
            raise ValueError(f"The relation {edge} of the meta-path {name!r} is empty; leave that meta-path out.")
        for row, kind in ((0, edge[0]), (1, edge[2])):
            count = int(graph[kind].num_nodes)
            if int(index[row].min()) < 0 or int(index[row].max()) >= count:
                raise ValueError(f"The relation {edge} has indices outside the {count} nodes of {kind!r}; mend them.")


def check_split(name: str, parts: Mapping[str, Tensor], count: int) -> None:
    """Indices are int64, within range, and no node is in two parts."""
    for part, index in parts.items():
        if index.dtype != torch.int64 or index.dim() != 1 or index.numel() == 0:
            raise ValueError(f"The {part} part of split {name!r} must be a non-empty int64 tensor of one dimension.")
        if int(index.min()) < 0 or int(index.max()) >= count:
            raise ValueError(
                f"The {part} part of split {name!r} has indices {int(index.min())} to {int(index.max())}, "
                f"but the target has nodes 0 to {count - 1}; mend or redraw the split."
            )
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = int(torch.isin(parts[one], parts[other]).sum())
        if shared:
            raise ValueError(f"The {one} and {other} parts of split {name!r} share {shared} nodes; separate them.")
