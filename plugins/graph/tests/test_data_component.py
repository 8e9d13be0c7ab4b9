"""The data component `graph/nodes`: which of its settings reads what."""

from __future__ import annotations

import pytest
import torch

from contrast_graph.data import component
from contrast_graph.data.component import Nodes


def test_a_folder(published):
    """Everything the interface promises, from a folder in the public layout."""
    data = Nodes(published)
    data.load()
    assert (len(data), data.whole) == (60, True)
    assert list(data.splits) == ["20", "40"]
    assert data.splits["40"].train.tolist() == list(range(24))
    assert torch.equal(data.labels, torch.arange(60) % 3)
    batch = data.batch(torch.arange(3))
    assert torch.equal(batch["sample"], torch.arange(60))
    assert batch["graph"] is data.graph
    assert data.graph.target == "paper"
    assert "acm" in data.source
    assert (tuple(data.classes), tuple(data.names)) == ((), ())


def test_a_file(tmp_path, authors):
    """A saved HeteroData, with its target and meta-paths, and splits drawn with the seed."""
    torch.save(authors.graph, tmp_path / "graph.pt")
    options = {"target": "author", "metapaths": {"APA": ["author", "paper", "author"]}, "per_class": [2]}
    data, again, other = (Nodes(tmp_path / "graph.pt", **options, seed=seed) for seed in (0, 0, 1))
    for each in (data, again, other):
        each.load()
    assert list(data.graph.metapaths) == ["APA"]
    assert len(data.splits["2"].train) == 4
    assert torch.equal(data.splits["2"].train, again.splits["2"].train)
    assert not torch.equal(data.splits["2"].train, other.splits["2"].train)


def test_without_a_path_it_is_the_graph_of_the_libraries(monkeypatch, authors):
    """No path and nothing required: the default graph, built only when it is loaded."""
    monkeypatch.setattr(component, "library_graph", lambda: authors)
    data = Nodes()
    with pytest.raises(ValueError, match=r"call load\(\) first"):
        len(data)
    data.load()
    assert data.graph is authors


def test_stand_in_features_are_marked_in_the_source(published):
    """Without features the folder is refused, or read with a stand-in that the source names."""
    (published / "p_feat.npz").unlink()
    with pytest.raises(ValueError, match='missing_features="svd"'):
        Nodes(published).load()
    data = Nodes(published, missing_features="svd")
    data.load()
    assert "stand-in" in data.source


def test_what_is_missing_is_named(tmp_path):
    """A required path, a path that is not there, a file without target, a damaged one."""
    with pytest.raises(ValueError, match=r"--set data\.path=FOLDER"):
        Nodes(required=True)
    with pytest.raises(ValueError, match=r"none, which does not exist, is no folder in the public layout"):
        Nodes(tmp_path / "none").load()
    (tmp_path / "graph.pt").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"graph\.pt is no folder.*also set data\.target and data\.metapaths"):
        Nodes(tmp_path / "graph.pt").load()
    with pytest.raises(ValueError, match=r"graph\.pt is damaged"):
        Nodes(tmp_path / "graph.pt", target="a", metapaths={"ABA": ["a", "b", "a"]}).load()
    with pytest.raises(ValueError, match="no file"):
        Nodes(tmp_path / "none.pt", target="a", metapaths={"ABA": ["a", "b", "a"]}).load()
