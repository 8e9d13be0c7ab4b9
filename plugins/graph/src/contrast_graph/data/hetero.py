"""One heterogeneous graph with a labelled target type, its meta-paths and its splits.

The container is the same for the embedded graph (``library``), the public folders (``published``) and any
``HeteroData`` that a user saved (:func:`load_heterodata`).
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, final

import attrs
import torch
from torch import Tensor

from contrast_core.interfaces import Split
from contrast_graph.data.checks import (
    check_metapath,
    check_split,
    check_target,
    node_count,
    resolve,
    whole_labels,
)
from contrast_graph.data.matrices import (
    BaseStorage,
    EdgeStorage,
    EdgeType,
    HeteroData,
    NodeStorage,
    feature_tensor,
    features,
    incidence,
)
from contrast_graph.data.splits import draw_splits

__all__ = [
    "EdgeType",
    "HeteroData",
    "MetaPath",
    "NodeGraph",
    "Split",
    "draw_splits",
    "feature_tensor",
    "features",
    "incidence",
    "load_heterodata",
    "node_graph",
]

MetaPath: TypeAlias = Sequence[EdgeType] | Sequence[str]


@final
@attrs.frozen(eq=False)
class NodeGraph:
    """A heterogeneous graph whose target nodes are to be embedded. Make one with :func:`node_graph`.

    Attributes:
        graph: the target type has ``x`` (N, d), dense or sparse, and ``y`` (N,) int64 with -1 for unlabelled;
            every other type has ``num_nodes`` and perhaps ``x``; every edge type has ``edge_index`` (2, E).
        target: the node type with the labels.
        metapaths: name -> edge types from the target back to the target, all present in ``graph``.
        splits: name (such as "20" for 20 labels per class) -> indices.
        names: one readable name per target node, or None.
        classes: one name per class, or None.
        source: what the data is, its licence and versions.
        notes: what the loader changed or made up, one sentence each (shifted labels, stand-in features).
    """

    graph: HeteroData
    target: str
    metapaths: dict[str, list[EdgeType]]
    splits: dict[str, Split]
    names: list[str] | None = None
    classes: list[str] | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Refuse a graph whose parts do not fit, with one sentence."""
        check_target(self.graph, self.target, self.names, self.classes)
        for name, path in self.metapaths.items():
            check_metapath(self.graph, self.target, name, path)
        for name, split in self.splits.items():
            check_split(name, attrs.asdict(split, recurse=False), int(self.graph[self.target].num_nodes))

    @property
    def y(self) -> Tensor:
        """Labels of the target nodes, int64 (N,), -1 where unlabelled."""
        labels: Tensor = self.graph[self.target].y
        return labels

    def half_incidences(self, metapath: str) -> list[Any]:
        """Incidences B_1 .. B_L of the first half of a symmetric meta-path, with A = C C^T, C = B_1 .. B_L.

        Returns:
            scipy CSR arrays; paper-author-paper gives one (paper x author), a five-type path gives two.

        Raises:
            ValueError: the meta-path is unknown, or its second half does not run the first one back.
        """
        if metapath not in self.metapaths:
            raise ValueError(f"There is no meta-path {metapath!r}; choose one of {sorted(self.metapaths)}.")
        path = self.metapaths[metapath]
        types = [path[0][0], *(edge[2] for edge in path)]
        half = [incidence(self.graph, edge) for edge in path[: len(path) // 2]]
        back = [incidence(self.graph, edge).T.tocsr() for edge in reversed(path[len(path) // 2 :])]
        if len(path) % 2 or types != types[::-1] or any((a != b).nnz for a, b in zip(half, back, strict=True)):
            raise ValueError(
                f"The meta-path {metapath!r} ({' - '.join(types)}) is not symmetric; declare one whose "
                "second half uses the reverses of the edges of its first half."
            )
        return half


def node_graph(
    graph: HeteroData,
    target: str,
    metapaths: Mapping[str, MetaPath],
    splits: Mapping[str, Split],
    *,
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    source: str = "",
    notes: Sequence[str] = (),
) -> NodeGraph:
    """Complete and check a graph: node counts are filled in, labels become int64, reverse edges are made.

    Args:
        graph: not changed; tensors are shared with the result.
        target: its type with the labels.
        metapaths: name -> edge types, ``[("paper", "to", "author"), ("author", "to", "paper")]``, or node
            types, ``["paper", "author", "paper"]`` where only one relation joins each two types.
        splits: name -> indices.
        names: one per target node.
        classes: one per class.
        source: a paragraph on the data.
        notes: what was changed or made up.

    Raises:
        ValueError: something is missing, empty or of the wrong length; the sentence names what exists.
    """
    graph = copy.copy(graph)
    if target not in graph.node_types:
        raise ValueError(f"The target type {target!r} is not in the graph; its node types are {graph.node_types}.")
    if not metapaths:
        raise ValueError("At least one meta-path is needed, for example {'PAP': ['paper', 'author', 'paper']}.")
    for edge in graph.edge_types:
        if "edge_index" not in graph[edge]:
            raise ValueError(f"The relation {edge} has no edge_index; store its edges as an int64 tensor (2, E).")
    for kind in {*graph.node_types, *(end for edge in graph.edge_types for end in (edge[0], edge[2]))}:
        graph[kind].num_nodes = node_count(graph, kind)
    if "y" not in graph[target]:
        raise ValueError(f"The target type {target!r} has no labels; set y with -1 where a label is unknown.")
    graph[target].y = whole_labels(graph[target].y)
    resolved = {name: resolve(graph, name, list(path)) for name, path in metapaths.items()}
    return NodeGraph(
        graph=graph,
        target=target,
        metapaths=resolved,
        splits=dict(splits),
        names=None if names is None else list(names),
        classes=None if classes is None else list(classes),
        source=source,
        notes=tuple(notes),
    )


def load_heterodata(
    path: str | Path,
    target: str,
    metapaths: Mapping[str, MetaPath],
    *,
    splits: Mapping[str, Split] | None = None,
    per_class: Sequence[int] = (20, 40, 60),
    seed: int = 0,
    names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    source: str = "",
) -> NodeGraph:
    """Read a ``HeteroData`` that was saved with ``torch.save``; no code in the file is executed.

    Args:
        path: the file.
        target: the node type with ``x`` and ``y``.
        metapaths: see :func:`node_graph`.
        splits: without them the target's ``train_mask``, ``val_mask`` and ``test_mask`` become the split
            "masks", and without masks :func:`draw_splits` draws ``per_class`` labels with ``seed``.
        per_class: labels per class of the drawn splits.
        seed: of the drawn splits.
        names: one per target node.
        classes: one per class.
        source: a paragraph on the data; the file's name by default.

    Raises:
        ValueError: the file is missing, cannot be read or holds something else, or its parts do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {path}; save a HeteroData there with torch.save(graph, path).")
    try:
        with (
            path.open("rb") as file,
            torch.serialization.safe_globals([BaseStorage, NodeStorage, EdgeStorage]),
        ):
            graph = torch.load(file, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        IndexError,
        KeyError,
        ValueError,
        OSError,
    ) as error:
        # torch's own message advises to load unsafely, so only its kind is passed on.
        raise ValueError(
            f"The file {path} is damaged or holds more than tensors and plain values "
            f"({type(error).__name__}); save the HeteroData again without other objects."
        ) from error
    if not isinstance(graph, HeteroData):
        raise ValueError(f"The file {path} holds a {type(graph).__name__}; a HeteroData is needed.")
    if splits is None and target in graph.node_types and "y" in graph[target]:
        store, masks = graph[target], ("train_mask", "val_mask", "test_mask")
        if all(mask in store for mask in masks):
            if any(store[mask].dim() != 1 for mask in masks):
                raise ValueError("The masks have several columns; pass splits= with one Split for each column.")
            splits = {"masks": Split(*(store[mask].nonzero().flatten() for mask in masks))}
        else:
            splits = draw_splits(whole_labels(store.y), per_class=per_class, seed=seed)
    return node_graph(
        graph,
        target,
        metapaths,
        splits or {},
        names=names,
        classes=classes,
        source=source or f"A HeteroData read from {path.name}.",
    )
