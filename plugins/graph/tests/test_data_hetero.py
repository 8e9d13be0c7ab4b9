"""The container of heterogeneous graphs: what it completes, what it refuses, and reading saved files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from contrast_graph.data.hetero import (
    HeteroData,
    NodeGraph,
    Split,
    draw_splits,
    feature_tensor,
    features,
    incidence,
    load_heterodata,
    node_graph,
)
from contrast_graph.metapaths import row_normalise

PAP = {"PAP": ["paper", "author", "paper"]}
EDGES = [[0, 1, 1, 2, 3, 5, 5], [0, 0, 1, 2, 2, 1, 1]]


def papers() -> HeteroData:
    """Six papers, four authors (one without papers, known by num_nodes), one edge given twice."""
    graph = HeteroData()
    graph["paper"].x = torch.eye(6)
    graph["paper"].y = torch.tensor([0, 0, 0, 1, 1, -1])
    graph["author"].num_nodes = 4
    graph["paper", "to", "author"].edge_index = torch.tensor(EDGES)
    return graph


def one_split(test: int = 2) -> dict[str, Split]:
    """A split of single nodes."""
    return {"1": Split(torch.tensor([0]), torch.tensor([1]), torch.tensor([test]))}


def make(graph: HeteroData | None = None, metapaths: Any = None, **more: Any) -> NodeGraph:
    """The graph of papers, or a broken variant of it."""
    return node_graph(graph or papers(), "paper", metapaths or PAP, more.pop("splits", one_split()), **more)


def test_reverse_edges_are_made_and_the_given_graph_stays_as_it_was() -> None:
    """A node-type chain names both directions; only the copy gets the missing one."""
    given = papers()
    data = make(given)
    assert data.metapaths["PAP"] == [("paper", "to", "author"), ("author", "to", "paper")]
    assert torch.equal(data.graph["author", "to", "paper"].edge_index, torch.tensor(EDGES[::-1]))
    assert given.edge_types == [("paper", "to", "author")]


def test_edge_types_and_rev_names_are_understood() -> None:
    """A meta-path by edge types finds the reverse of "to" under the name "rev_to"."""
    data = make(metapaths={"PAP": [("paper", "to", "author"), ("author", "rev_to", "paper")]})
    assert ("author", "rev_to", "paper") in data.graph.edge_types


def test_incidence_is_zero_one_in_the_declared_shape() -> None:
    """Repeated edges count once and an author without papers keeps its column."""
    data = make()
    expected = np.zeros((6, 4))
    for row, column in zip(*EDGES, strict=True):
        expected[row, column] = 1
    assert np.array_equal(incidence(data.graph, ("paper", "to", "author")).toarray(), expected)
    (half,) = data.half_incidences("PAP")
    assert np.array_equal(half.toarray(), expected)


def test_node_counts_are_inferred_from_edges() -> None:
    """Without num_nodes and features the largest index decides."""
    graph = papers()
    del graph["author"].num_nodes
    assert make(graph).graph["author"].num_nodes == 3


def test_an_asymmetric_metapath_has_no_halves() -> None:
    """Papers citing papers that share an author: no A = C C^T."""
    graph = papers()
    graph["paper", "cites", "paper"].edge_index = torch.tensor([[0], [1]])
    graph["paper", "likes", "paper"].edge_index = torch.tensor([[2], [1]])
    data = make(graph, {"PPP": [("paper", "cites", "paper"), ("paper", "likes", "paper")]})
    with pytest.raises(ValueError, match="not symmetric"):
        data.half_incidences("PPP")
    with pytest.raises(ValueError, match=r"no meta-path 'PAP'.*PPP"):
        data.half_incidences("PAP")


def test_sparse_features_survive() -> None:
    """Row sums are one, empty rows stay zero, thin matrices are sparse and full ones dense."""
    counts = sp.csr_array(([2.0, 6.0, 1.0], ([0, 0, 2], [1, 30, 5])), shape=(3, 40))
    thin = feature_tensor(row_normalise(counts))
    assert thin.is_sparse
    graph = papers()
    graph["paper"].x = feature_tensor(sp.csr_array(np.eye(6)))
    assert not graph["paper"].x.is_sparse
    graph["author"].x = thin
    back = features(graph, "author")
    assert np.allclose(back.toarray(), counts.toarray() / np.array([[8.0], [1.0], [1.0]]))
    assert isinstance(features(graph, "paper"), np.ndarray)
    assert features(graph, "paper") is not None


def without(key: str) -> HeteroData:
    """The papers without one attribute of the target."""
    graph = papers()
    del graph["paper"][key]
    return graph


def with_labels(*labels: float) -> HeteroData:
    """The papers with other labels."""
    graph = papers()
    graph["paper"].y = torch.tensor(labels)
    return graph


def with_edges(edges: list[list[int]]) -> HeteroData:
    """The papers with other edges."""
    graph = papers()
    graph["paper", "to", "author"].edge_index = torch.tensor(edges, dtype=torch.int64).reshape(2, -1)
    return graph


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"graph": with_labels(0, 1, 0)}, "6 nodes but 3 labels"),
        ({"graph": with_labels(0, 1, 0.5, 0, 0, 0)}, "whole number"),
        ({"graph": without("y")}, "no labels"),
        ({"graph": without("x")}, "no features"),
        ({"metapaths": {"PSP": ["paper", "subject", "paper"]}}, "'subject'; the graph's are .*'author'"),
        (
            {"metapaths": {"P": [("paper", "by", "author"), ("author", "by", "paper")]}},
            "lacks both ways.*'to'",
        ),
        ({"metapaths": {"PA": ["paper", "author"]}}, "start and end at 'paper'"),
        ({"graph": with_edges([[], []])}, "is empty"),
        ({"graph": with_edges([[0], [9]])}, "outside the 4 nodes of 'author'"),
        ({"splits": one_split(test=6)}, "indices 6 to 6, but the target has nodes 0 to 5"),
        ({"splits": one_split(test=1)}, "val and test parts of split '1' share 1"),
        ({"names": ["a"]}, "1 names for 6"),
        ({"classes": ["a"]}, "Label 1 has no name"),
    ],
)
def test_defects_are_named(more: dict[str, Any], message: str) -> None:
    """Each defect of a graph gets one sentence that says what exists."""
    with pytest.raises(ValueError, match=message):
        make(**more)


def test_non_finite_features_are_refused() -> None:
    """NaN in a feature is named before it reaches a loss."""
    graph = papers()
    graph["paper"].x[2, 1] = float("nan")
    with pytest.raises(ValueError, match="NaN or Inf"):
        make(graph)


def test_two_relations_between_two_types_need_edge_types() -> None:
    """A chain of node types is ambiguous where two relations join them."""
    graph = papers()
    graph["paper", "praises", "author"].edge_index = torch.tensor([[0], [1]])
    with pytest.raises(ValueError, match="2 relations; give it as edge types"):
        make(graph)


def test_splits_are_nested_balanced_and_apart() -> None:
    """n labels per class, larger training sets contain the smaller, one val and test for all."""
    y = torch.tensor([0] * 30 + [1] * 25 + [2] * 40 + [-1] * 10)
    splits = draw_splits(y, per_class=(3, 5), held_out=20, seed=1)
    for n, split in splits.items():
        assert torch.bincount(y[split.train]).tolist() == [int(n)] * 3
        whole = torch.cat([split.train, split.val, split.test])
        assert len(set(whole.tolist())) == len(whole)
        assert int(y[whole].min()) >= 0
    assert set(splits["3"].train.tolist()) < set(splits["5"].train.tolist())
    assert torch.equal(splits["3"].test, splits["5"].test)
    assert torch.equal(draw_splits(y, per_class=(3, 5), held_out=20, seed=1)["5"].val, splits["5"].val)
    with pytest.raises(ValueError, match="Class 1 has 25 labelled nodes but 26"):
        draw_splits(y, per_class=(26,))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_saved_heterodata_is_read_with_its_masks(tmp_path: Path, sparse: bool) -> None:
    """Masks become the split; the file is read without running code."""
    graph = papers()
    if sparse:
        graph["paper"].x = graph["paper"].x.to_sparse_coo()
    for part, node in (("train", 0), ("val", 1), ("test", 2)):
        graph["paper"][f"{part}_mask"] = torch.arange(6) == node
    torch.save(graph, tmp_path / "g.pt")
    data = load_heterodata(tmp_path / "g.pt", "paper", PAP)
    assert data.splits["masks"].test.tolist() == [2]
    assert "g.pt" in data.source
    assert np.allclose(np.asarray(data.graph["paper"].x.to_dense()), np.eye(6))


def test_without_masks_splits_are_drawn(tmp_path: Path) -> None:
    """per_class and seed decide."""
    torch.save(papers(), tmp_path / "g.pt")
    data = load_heterodata(tmp_path / "g.pt", "paper", PAP, per_class=(1,))
    assert list(data.splits) == ["1"]


class Foreign:
    """Something that a safe loader must not bring to life."""


def saved(thing: object) -> bytes:
    """The bytes of torch.save."""
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"abc", b"PK\x03\x04abc", saved(papers())[:900], saved(Foreign())])
def test_damaged_and_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever is wrong inside, the sentence names the file."""
    (tmp_path / "g.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"g\.pt is damaged or holds more"):
        load_heterodata(tmp_path / "g.pt", "paper", PAP)


def test_missing_files_and_other_objects_are_refused(tmp_path: Path) -> None:
    """No file, a dictionary instead of a graph, an unknown target."""
    with pytest.raises(ValueError, match="no file"):
        load_heterodata(tmp_path / "none.pt", "paper", PAP)
    torch.save({"x": 1}, tmp_path / "d.pt")
    with pytest.raises(ValueError, match="holds a dict"):
        load_heterodata(tmp_path / "d.pt", "paper", PAP)
    torch.save(papers(), tmp_path / "g.pt")
    with pytest.raises(ValueError, match=r"'movie' is not in the graph.*'paper'"):
        load_heterodata(tmp_path / "g.pt", "movie", PAP)
