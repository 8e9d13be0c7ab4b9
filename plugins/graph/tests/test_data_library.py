"""The default graph from the source of installed libraries."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from contrast_graph.data import library
from contrast_graph.data.definitions import described, package_folder
from contrast_graph.data.hetero import NodeGraph, features, incidence

RELATIONS = (("function", "calls", "callee"), ("function", "takes", "parameter"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[NodeGraph, Path]:
    """The graph, built once into a cache of its own."""
    folder = tmp_path_factory.mktemp("contrast-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRAST_CACHE", str(folder))
        return library.library_graph(), folder


def same(one: NodeGraph, other: NodeGraph) -> bool:
    """Bit for bit: features, labels, edges, names and splits."""
    return (
        torch.equal(one.graph["function"].x.to_dense(), other.graph["function"].x.to_dense())
        and torch.equal(one.y, other.y)
        and one.names == other.names
        and all(torch.equal(one.graph[e].edge_index, other.graph[e].edge_index) for e in one.graph.edge_types)
        and all(torch.equal(one.splits[n].test, other.splits[n].test) for n in one.splits)
    )


def test_classes_are_large_and_balanced(built: tuple[NodeGraph, Path]) -> None:
    """Five areas of about 500 definitions."""
    data, _ = built
    counts = torch.bincount(data.y, minlength=len(library.AREAS))
    assert data.classes == list(library.AREAS)
    assert int(counts.min()) > 250
    assert int(counts.max()) <= library.PER_CLASS
    assert 1500 < len(data.y) < 4000
    assert all(version in data.source for version in library.library_versions().values())


def test_order_of_the_nodes_carries_no_label(built: tuple[NodeGraph, Path]) -> None:
    """As many runs of equal labels as a random order has, within four standard deviations or so."""
    y = built[0].y.numpy()
    share = np.bincount(y) / len(y)
    expected = (len(y) - 1) * (1 - (share**2).sum())
    assert abs((y[1:] != y[:-1]).sum() - expected) < 4 * np.sqrt(len(y) * 0.25)


def test_no_word_or_name_states_the_area(built: tuple[NodeGraph, Path]) -> None:
    """The vocabulary in the cache lacks areas and libraries; empty rows are rare; rows sum to one or zero."""
    data, folder = built
    (file,) = folder.glob("library-*.npz")
    with np.load(file, allow_pickle=False) as stored:
        vocabulary = stored["vocabulary"].tolist()
    assert not [word for word in vocabulary if any(part in word for part in library.TELLING)]
    sums = features(data.graph, "function").sum(axis=1)
    assert set(np.round(sums, 5).tolist()) <= {0.0, 1.0}
    assert (sums > 0).mean() > 0.98
    assert data.graph["function"].x.shape[1] == len(vocabulary)


def test_contexts_are_pruned(built: tuple[NodeGraph, Path]) -> None:
    """No name of a single node and none that joins more than 2 % of all; most nodes have both contexts."""
    data, _ = built
    for edge in RELATIONS:
        matrix = incidence(data.graph, edge)
        degrees = matrix.sum(axis=0)
        assert degrees.min() >= library.NAME_IN_AT_LEAST
        assert degrees.max() <= library.NAME_IN_AT_MOST * len(data.y)
        assert (matrix.sum(axis=1) > 0).mean() > 0.7


def test_metapaths_join_equal_labels_more_often_than_chance(built: tuple[NodeGraph, Path]) -> None:
    """Homophily well above the 0.2 of five equal classes, well below one."""
    data, _ = built
    y = data.y.numpy()
    for name in ("FCF", "FPF"):
        (half,) = data.half_incidences(name)
        joined = (half @ half.T).tocoo()
        off = joined.coords[0] != joined.coords[1]
        homophily = (y[joined.coords[0]] == y[joined.coords[1]])[off].mean()
        assert 0.4 < homophily < 0.9


def test_splits_do_not_overlap(built: tuple[NodeGraph, Path]) -> None:
    """20, 40 and 60 per class, and up to 1000 each to validate and test."""
    data, _ = built
    assert list(data.splits) == ["20", "40", "60"]
    for n, split in data.splits.items():
        assert torch.bincount(data.y[split.train]).tolist() == [int(n)] * len(library.AREAS)
        whole = torch.cat([split.train, split.val, split.test])
        assert len(set(whole.tolist())) == len(whole)
        assert len(split.val) == len(split.test) > 500


def test_two_builds_are_equal(built: tuple[NodeGraph, Path]) -> None:
    """Built again without the cache, the graph is the same bit for bit."""
    assert same(built[0], library.library_graph(cache=False))


def test_the_cache_is_used_and_a_damaged_one_rebuilt(
    built: tuple[NodeGraph, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole file is read without building; damaged ones are replaced without a word."""
    data, folder = built
    (file,) = folder.glob("library-*.npz")
    content = file.read_bytes()
    copy = tmp_path / file.name
    with np.load(file, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    builds: list[int] = []

    def build() -> dict[str, object]:
        builds.append(1)
        return arrays

    monkeypatch.setattr(library, "_build", build)
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path))
    copy.write_bytes(content)
    assert same(data, library.library_graph())
    assert not builds
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    for attempt, damaged in enumerate((b"", b"nonsense", content[: len(content) // 2], bytes(flipped)), start=1):
        copy.write_bytes(damaged)
        assert same(data, library.library_graph())
        assert len(builds) == attempt
        assert same(data, library.library_graph())
        assert len(builds) == attempt
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_unusable_cache_folder_is_passed_over(
    built: tuple[NodeGraph, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the cache folder is a file, the graph is still made."""
    (file,) = built[1].glob("library-*.npz")
    with np.load(file, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    monkeypatch.setattr(library, "_build", lambda: arrays)
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path / "taken"))
    assert same(built[0], library.library_graph())


def test_definitions_are_read_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of the head, called names, parameters, public names; tests and broken files are passed over."""
    area = tmp_path / "madeup" / "area"
    (area / "tests").mkdir(parents=True)
    (tmp_path / "madeup" / "__init__.py").write_text("raise SystemExit('must not run')\n")
    (area / "_inner.py").write_text(
        "raise SystemExit('must not run')\n"
        "class Box:\n    '''Holds many small things.'''\n"
        "    def put(self, thing, *, where=None):\n        '''Puts one thing in.\n\n        Parameters\n"
        "        ----------\n        hidden words here\n        '''\n        self.list.append(check(thing))\n"
        "def bare(x):\n    return x\n"
    )
    (area / "broken.py").write_text("def (:\n")
    (area / "tests" / "test_box.py").write_text("def f():\n    '''Never seen by anybody.'''\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    box, put = described("madeup", "area")
    assert (box.name, put.name) == ("madeup.area.Box", "madeup.area.Box.put")
    assert put.words == ("puts", "one", "thing")
    assert put.calls == ("append", "check")
    assert put.parameters == box.parameters == ("thing", "where")
    with pytest.raises(ValueError, match="has no folder other"):
        list(described("madeup", "other"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both readers of a library say how to install it."""
    with pytest.raises(ValueError, match="pip install surely_not_here"):
        package_folder("surely_not_here")
    monkeypatch.setattr(library, "AREAS", {"none": (("surely_not_here", "x"),)})
    with pytest.raises(ValueError, match="pip install surely_not_here"):
        library.library_versions()


def test_the_modules_never_import_what_they_read() -> None:
    """No import statement of the reader names sympy or networkx."""
    for module in (library.__file__, os.path.join(os.path.dirname(library.__file__), "definitions.py")):
        tree = ast.parse(Path(module).read_text(encoding="utf-8"))
        names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
        assert not {"sympy", "networkx"} & {name.split(".")[0] for name in names}
