"""The default graph: the scientific areas of functions, built offline from the source of libraries.

torch installs sympy and networkx, this package scipy; their source is read with :mod:`ast` and never
imported or run. Target nodes are functions, methods and classes with a docstring; the label is their area
(five classes that cut across libraries, such as algebra = scipy.linalg + scipy.sparse + sympy.matrices);
context nodes are the names they call and the names of their parameters; features are the words of the
docstring's head.

Left out because they would give the label away: module and file, words that name an area or a library, and
the order of the nodes, which is shuffled. Nothing of the sources but counts of words and names is kept.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from contrast_core.cache import cache_folder
from contrast_core.files import replacing
from contrast_graph.data.definitions import Described, described
from contrast_graph.data.hetero import (
    HeteroData,
    NodeGraph,
    draw_splits,
    feature_tensor,
    node_graph,
)
from contrast_graph.metapaths import row_normalise

BUILDER_VERSION = 1
"""Counts up whenever the same libraries would give another graph."""

AREAS: dict[str, tuple[tuple[str, str], ...]] = {
    "algebra": (("scipy", "linalg"), ("scipy", "sparse"), ("sympy", "matrices")),
    "graphs": (("networkx", "algorithms"),),
    "optimization": (("scipy", "optimize"), ("sympy", "solvers")),
    "signal": (("scipy", "signal"), ("scipy", "ndimage"), ("scipy", "fft")),
    "statistics": (("scipy", "stats"), ("sympy", "stats")),
}
"""Class -> subpackages."""

# Parts of words that state the area or the library; such words are no features.
TELLING = (
    *("algebra", "linalg", "spars", "matri", "graph", "optimi", "solve", "signal", "ndimage", "fft"),
    *("stat", "scipy", "sympy", "networkx"),
)
PER_CLASS = 500
VOCABULARY = 1500
WORD_IN_AT_LEAST, WORD_IN_AT_MOST = 5, 0.3
NAME_IN_AT_LEAST, NAME_IN_AT_MOST = 2, 0.02
SEED = 0

_UNREADABLE = (OSError, EOFError, KeyError, ValueError, IndexError, zipfile.BadZipFile, zlib.error)


def library_graph(*, cache: bool = True) -> NodeGraph:
    """The graph of the installed libraries, from the cache folder if it was built before.

    Node types "function" (target), "callee", "parameter"; meta-paths "FCF" (function - callee - function) and
    "FPF" (function - parameter - function); splits "20", "40", "60" labels per class with one common
    validation and test set. The same library versions give the same graph bit for bit; ``source`` names them.

    Args:
        cache: read and write `contrast_core.cache.cache_folder()`. A damaged file is replaced; a folder that cannot be
            written is passed over, and the graph is built again next time.

    Raises:
        ValueError: scipy, sympy or networkx is missing or has too few definitions of an area.
    """
    versions = library_versions()
    stamp = json.dumps({"builder": BUILDER_VERSION, **versions}, sort_keys=True)
    folder = cache_folder() if cache else None
    file = folder / f"library-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}.npz" if folder else None
    if file is not None:
        try:
            with file.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
                return _assemble({key: stored[key] for key in stored.files}, versions)
        except _UNREADABLE:
            pass  # not there yet, or damaged: build it
    arrays = _build()
    graph = _assemble(arrays, versions)
    if file is not None:
        _write(file, arrays)
    return graph


def library_versions() -> dict[str, str]:
    """Library -> installed version, for the libraries that the graph is built from.

    Raises:
        ValueError: one of them is not installed.
    """
    versions = {}
    for library in sorted({library for parts in AREAS.values() for library, _ in parts}):
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError as error:
            raise ValueError(
                f"The library {library} is not installed, and the default graph is built from its source; "
                f"run: pip install {library}."
            ) from error
    return versions


def _build() -> dict[str, Any]:
    """Read, choose, shuffle, prune: plain arrays, ready for the cache."""
    areas = list(AREAS)
    found = [
        (label, entry)
        for label, area in enumerate(areas)
        for library, part in AREAS[area]
        for entry in described(library, part)
    ]
    found = _connected(found)
    rng = np.random.default_rng(SEED)
    labels = np.array([label for label, _ in found], dtype=np.int64)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:PER_CLASS] for c in range(len(areas))])
    chosen = rng.permutation(chosen)
    entries = [found[i][1] for i in chosen]
    callees = _named_incidence([entry.calls for entry in entries])
    parameters = _named_incidence([entry.parameters for entry in entries])
    words, vocabulary = _word_counts(entries)
    arrays: dict[str, Any] = {
        "y": labels[chosen],
        "names": np.array([entry.name for entry in entries]),
        "vocabulary": np.array(vocabulary),
    }
    for name, matrix in (("callee", callees), ("parameter", parameters), ("words", words)):
        coo = sp.coo_array(matrix)
        arrays[f"{name}_entries"] = np.stack([*coo.coords, coo.data]).astype(np.int64)
        arrays[f"{name}_shape"] = np.array(coo.shape, dtype=np.int64)
    return arrays


def _connected(found: list[tuple[int, Described]]) -> list[tuple[int, Described]]:
    """Those that share a called name and a parameter name with another one, until nothing more falls away."""
    while True:
        calls = Counter(name for _, entry in found for name in entry.calls)
        parameters = Counter(name for _, entry in found for name in entry.parameters)
        kept = [
            (label, entry)
            for label, entry in found
            if any(calls[n] >= NAME_IN_AT_LEAST for n in entry.calls)
            and any(parameters[n] >= NAME_IN_AT_LEAST for n in entry.parameters)
        ]
        if len(kept) == len(found):
            return kept
        found = kept


def _named_incidence(names: Sequence[Sequence[str]]) -> Any:
    """Nodes x names, 0/1, without names of a single node and names so common that they join everything."""
    counts = Counter(name for group in names for name in group)
    most = NAME_IN_AT_MOST * len(names)
    column = {n: i for i, n in enumerate(sorted(n for n, c in counts.items() if NAME_IN_AT_LEAST <= c <= most))}
    pairs = [(row, column[name]) for row, group in enumerate(names) for name in group if name in column]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(column)))


def _word_counts(entries: Sequence[Described]) -> tuple[Any, list[str]]:
    """Definitions x vocabulary: how often each word occurs; the vocabulary is the commonest usable words."""
    spread = Counter(word for entry in entries for word in set(entry.words))
    usable = [
        word
        for word, count in spread.items()
        if WORD_IN_AT_LEAST <= count <= WORD_IN_AT_MOST * len(entries) and not any(t in word for t in TELLING)
    ]
    vocabulary = sorted(sorted(usable, key=lambda word: (-spread[word], word))[:VOCABULARY])
    column = {word: i for i, word in enumerate(vocabulary)}
    pairs = [(row, column[word]) for row, entry in enumerate(entries) for word in entry.words if word in column]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(entries), len(vocabulary))), vocabulary


def _assemble(arrays: dict[str, Any], versions: dict[str, str]) -> NodeGraph:
    """The container, from the arrays of the builder or of the cache."""
    graph = HeteroData()
    rows, columns, counts = arrays["words_entries"]
    bag = sp.csr_array((counts, (rows, columns)), shape=tuple(arrays["words_shape"]))
    graph["function"].x = feature_tensor(row_normalise(bag))
    graph["function"].y = torch.from_numpy(arrays["y"])
    for kind, relation in (("callee", "calls"), ("parameter", "takes")):
        graph[kind].num_nodes = int(arrays[f"{kind}_shape"][1])
        graph["function", relation, kind].edge_index = torch.from_numpy(arrays[f"{kind}_entries"][:2].copy())
    listed = ", ".join(f"{library} {version}" for library, version in versions.items())
    return node_graph(
        graph,
        "function",
        {"FCF": ["function", "callee", "function"], "FPF": ["function", "parameter", "function"]},
        draw_splits(graph["function"].y, seed=SEED),
        names=[str(name) for name in arrays["names"]],
        classes=list(AREAS),
        source=(
            "Functions, methods and classes of installed libraries, joined by the names they call and "
            "the names of their parameters, with the words of their docstrings as features and their "
            "scientific area as label. "
            f"Built from the source of {listed} (all BSD-3-Clause), builder version {BUILDER_VERSION}; "
            "only counts of words and names are kept."
        ),
    )


def _write(file: Path, arrays: dict[str, Any]) -> None:
    """Whole or not at all."""
    with suppress(OSError), replacing(file) as temporary:
        np.savez_compressed(temporary, **arrays)
