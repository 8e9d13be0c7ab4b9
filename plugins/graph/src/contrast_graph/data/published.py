"""Reads folders in the layout in which the ACM, IMDB, AMiner and DBLP graphs of HeCo and MEOW are published.

Sources of the layout: github.com/liun-online/HeCo (KDD 2021) and github.com/jianxiangyu/MEOW (MIT; SDM
2023). Ready meta-path matrices in such a folder (``pap.npz`` ...) are ignored: they follow from the
incidences.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
import torch

from contrast_graph.data.hetero import (
    HeteroData,
    NodeGraph,
    Split,
    feature_tensor,
    incidence,
    node_graph,
)
from contrast_graph.data.layouts import LAYOUTS, Layout
from contrast_graph.metapaths import row_normalise

STAND_IN_WIDTH = 64


def load_published(
    path: str | Path,
    kind: Literal["acm", "imdb", "aminer", "dblp"] | None = None,
    *,
    missing_features: Literal["error", "svd"] = "error",
    seed: int = 0,
) -> NodeGraph:
    """Read a folder with ``labels.npy``, ``<letter>_feat.npz``, incidences and ``train_20.npy`` etc.

    The target's and any other type's features are divided by their row sums. Relations are
    ``(first type, "to", second type)`` and their reverses. Labels that start at 1 are shifted to 0
    (see ``notes``).

    Args:
        path: the folder.
        kind: which of :data:`LAYOUTS`; by default told from the files.
        missing_features: AMiner is published without features. "svd" makes 64 columns of a truncated SVD of
            the meta-path incidences in their place and says so in ``notes``; they are a stand-in, not the
            papers' metapath2vec vectors.
        seed: of the start vector of the SVD.

    Raises:
        ValueError: a file is missing, damaged or of the wrong shape; the sentence names it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}; give the folder that holds labels.npy and the incidences.")
    layout = _layout(folder, kind)
    labels = _read(folder / "labels.npy", _load_array)
    notes: list[str] = []
    if labels.ndim != 1 or len(labels) == 0 or not np.array_equal(labels, np.round(labels)):
        raise ValueError(f"The file {folder / 'labels.npy'} must hold one whole number per {layout.target}.")
    labels = labels.astype(np.int64)
    if labels.min() == 1:
        labels = labels - 1
        notes.append("The labels of the files start at 1 and were shifted to start at 0.")
    graph = HeteroData()
    graph[layout.target].y = torch.from_numpy(labels)
    types = list(dict.fromkeys(each for pair in layout.relations for each in pair))
    found = {each: folder / f"{each[0]}_feat.npz" for each in types if (folder / f"{each[0]}_feat.npz").is_file()}
    for kind_of, file in found.items():
        graph[kind_of].x = feature_tensor(row_normalise(_read(file, sp.load_npz)))
    _add_relations(graph, folder, layout, len(labels))
    if layout.target not in found:
        if missing_features != "svd":
            raise ValueError(
                f"The folder {folder} lacks {layout.target[0]}_feat.npz with the {layout.target} features; "
                'pass missing_features="svd" for a stand-in made from the meta-paths.'
            )
        graph[layout.target].x, width = _stand_in(graph, layout, seed)
        notes.append(
            f"The {layout.target} features are a stand-in: a truncated SVD with {width} columns of the "
            "meta-path incidences, because the folder has none; say so wherever a number from it is reported."
        )
    return node_graph(
        graph,
        layout.target,
        {name: list(chain) for name, chain in layout.metapaths.items()},
        _splits(folder),
        classes=layout.classes,
        source=(
            f"The published folder {folder.name!r}, read as a graph of {', '.join(types)} in the layout of "
            "liun-online/HeCo and jianxiangyu/MEOW (MIT); see those repositories for the licence of the data."
        ),
        notes=notes,
    )


def _layout(folder: Path, kind: str | None) -> Layout:
    """The asked layout, or the one whose incidences or edge lists are all there."""
    if kind is not None:
        if kind not in LAYOUTS:
            raise ValueError(f"There is no layout {kind!r}; choose one of {sorted(LAYOUTS)}.")
        return LAYOUTS[kind]
    for layout in LAYOUTS.values():
        if all(_relation_file(folder, layout, pair) for pair in layout.relations):
            return layout
    needed = "; ".join(
        f"{name}: {', '.join(_candidates(layout, pair)[0] for pair in layout.relations)}"
        for name, layout in LAYOUTS.items()
    )
    raise ValueError(
        f"The folder {folder} is none of the known sets; each needs its incidences ({needed}) or edge lists "
        "such as pa.txt."
    )


def _candidates(layout: Layout, pair: tuple[str, str]) -> list[str]:
    """File names that may hold a relation: ``nei_`` only where the target is the first of the pair."""
    a, b = pair[0][0], pair[1][0]
    neighbours = [f"nei_{b}.npz"] if pair[0] == layout.target else []
    return [*neighbours, f"{a}{b}.txt", f"{b}{a}.txt"]


def _relation_file(folder: Path, layout: Layout, pair: tuple[str, str]) -> Path | None:
    return next((folder / name for name in _candidates(layout, pair) if (folder / name).is_file()), None)


def _add_relations(graph: HeteroData, folder: Path, layout: Layout, targets: int) -> None:
    """Edges in both directions; the number of nodes of a type is the largest that any file shows."""
    counts: dict[str, int] = {layout.target: targets}
    for kind in graph.node_types:
        if "x" in graph[kind]:
            counts[kind] = max(counts.get(kind, 0), int(graph[kind].x.shape[0]))
    for pair in layout.relations:
        file = _relation_file(folder, layout, pair)
        if file is None:
            raise ValueError(
                f"The folder {folder} lacks the relation {pair[0]}-{pair[1]}; "
                f"add one of {', '.join(_candidates(layout, pair))}."
            )
        if file.suffix == ".npz":
            matrix = sp.coo_array(_read(file, sp.load_npz))
            if matrix.shape[0] != targets:
                raise ValueError(f"The file {file} has {matrix.shape[0]} rows but there are {targets} labels.")
            ends, sizes = np.stack(matrix.coords), matrix.shape
        else:
            ends = _read(file, _load_pairs).T
            ends = ends if file.stem[0] == pair[0][0] else ends[::-1]
            sizes = tuple(int(row.max()) + 1 for row in ends)
        for kind, size in zip(pair, sizes, strict=True):
            if size > counts.get(kind, size) and (kind == layout.target or "x" in graph[kind]):
                raise ValueError(f"The file {file} names {kind} {size - 1} but there are {counts[kind]} of them.")
            counts[kind] = max(counts.get(kind, 0), int(size))
        edges = torch.from_numpy(np.ascontiguousarray(ends, dtype=np.int64))
        graph[pair[0], "to", pair[1]].edge_index = edges
        graph[pair[1], "to", pair[0]].edge_index = edges.flip(0)
    for kind, size in counts.items():
        graph[kind].num_nodes = size


def _stand_in(graph: HeteroData, layout: Layout, seed: int) -> tuple[torch.Tensor, int]:
    """U S of the first halves of all meta-paths, side by side and each of Frobenius norm 1."""
    blocks = []
    for chain in layout.metapaths.values():
        half = chain[: len(chain) // 2 + 1]
        product = sp.eye_array(int(graph[layout.target].num_nodes), format="csr")
        for source, destination in pairwise(half):
            product = product @ incidence(graph, (source, "to", destination))
        blocks.append(product / max(float(spla.norm(product)), 1e-12))
    matrix = sp.csr_array(sp.hstack(blocks))
    width = min(STAND_IN_WIDTH, min(matrix.shape) - 1)
    if width < 1:
        raise ValueError("A stand-in for the features needs at least two target and two context nodes.")
    start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
    left, values, _ = spla.svds(matrix, k=width, v0=start)
    return torch.from_numpy(np.ascontiguousarray((left * values)[:, ::-1], dtype=np.float32)), width


def _splits(folder: Path) -> dict[str, Split]:
    """The three published splits, or those of them that are there."""
    parts: Sequence[str] = ("train", "val", "test")
    sizes = [n for n in ("20", "40", "60") if any((folder / f"{p}_{n}.npy").is_file() for p in parts)]
    if not sizes:
        raise ValueError(f"The folder {folder} lacks train_20.npy, val_20.npy and test_20.npy (or 40, 60); add them.")
    return {
        n: Split(*(torch.from_numpy(_read(folder / f"{p}_{n}.npy", _load_array).astype(np.int64)) for p in parts))
        for n in sizes
    }


def _load_array(file: Any) -> Any:
    return np.load(file, allow_pickle=False)


def _load_pairs(file: Any) -> Any:
    """Two integer columns."""
    lines: Iterable[bytes] = [line for line in file.read().splitlines() if line.strip()]
    pairs = np.array([[int(cell) for cell in line.split()] for line in lines], dtype=np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.min() < 0:
        raise ValueError("two columns of indices from 0 on are needed")
    return pairs


def _read(file: Path, reader: Callable[[Any], Any]) -> Any:
    """One file through an open handle, so that it is closed even when it is damaged."""
    if not file.is_file():
        raise ValueError(f"The folder {file.parent} lacks {file.name}; copy it from the published set.")
    try:
        with file.open("rb") as handle:
            return reader(handle)
    except (ValueError, TypeError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"The file {file} is damaged or of another format ({error}); copy it again.") from error
