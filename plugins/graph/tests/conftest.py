"""Fixtures shared by the tests of contrast-graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.testing.golden import Case, golden_cases
from contrast_graph.data.hetero import HeteroData, NodeGraph, Split, node_graph

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str], list[Case]]:
    """Loads all golden cases of one function: arrays as tensors by name, the description under "meta"."""
    return partial(golden_cases, GOLDEN)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder in the layout of ACM: 60 papers of 3 classes whose authors, subjects and words follow the class."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "acm"
    folder.mkdir()
    labels = np.arange(60) % 3
    np.save(folder / "labels.npy", labels)
    for letter, kinds in (("a", 12), ("s", 6)):
        likely = np.where(labels[:, None] == np.arange(kinds) % 3, 0.4, 0.05)
        matrix = rng.random((60, kinds)) < likely
        matrix[np.arange(60), labels] = True
        sp.save_npz(folder / f"nei_{letter}.npz", sp.coo_matrix(matrix.astype(np.float64)))
    words = rng.poisson(np.where(labels[:, None] == np.arange(30) % 3, 1.0, 0.3))
    words[:, 0] += 1
    sp.save_npz(folder / "p_feat.npz", sp.csr_matrix(words.astype(np.float64)))
    for size, train in (("20", 12), ("40", 24)):
        for part, nodes in (("train", range(train)), ("val", range(30, 42)), ("test", range(42, 60))):
            np.save(folder / f"{part}_{size}.npy", np.array(nodes))
    return folder


@pytest.fixture
def authors() -> NodeGraph:
    """A graph like DBLP: 12 authors, papers, conferences and terms, paths of 2 and 4 edges; author 11 has no paper."""
    rng = np.random.default_rng(1)
    graph = HeteroData()
    graph["author"].x = torch.from_numpy(rng.random((12, 5), dtype=np.float32))
    graph["author"].y = torch.arange(12) % 2
    graph["paper"].x = torch.from_numpy(rng.random((15, 4), dtype=np.float32))
    graph["conference"].num_nodes, graph["term"].num_nodes = 3, 7
    graph["author", "to", "paper"].edge_index = torch.stack([torch.arange(15) % 11, torch.arange(15)])
    graph["paper", "to", "conference"].edge_index = torch.stack([torch.arange(15), torch.arange(15) % 3])
    graph["paper", "to", "term"].edge_index = torch.stack([torch.arange(15), torch.arange(15) % 7])
    paths = {
        "APA": ["author", "paper", "author"],
        "APCPA": ["author", "paper", "conference", "paper", "author"],
        "APTPA": ["author", "paper", "term", "paper", "author"],
    }
    parts = (torch.arange(4), torch.arange(4, 8), torch.arange(8, 12))
    return node_graph(graph, "author", paths, {"few": Split(*parts)})


@pytest.fixture
def rows() -> Callable[..., Embeddings]:
    """rows(n, d, seed): a table of random unit rows, samples 0, 1, ..., that want a gradient."""

    def draw(n: int, d: int = 8, seed: int = 0) -> Embeddings:
        generator = torch.Generator().manual_seed(seed)
        z = torch.nn.functional.normalize(torch.randn(n, d, generator=generator), dim=1)
        return Embeddings.of(z.requires_grad_(), sample=torch.arange(n))

    return draw
