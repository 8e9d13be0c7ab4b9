"""Folders in the published layouts, made small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from contrast_graph.data.hetero import features, incidence
from contrast_graph.data.published import load_published

N = 12


def write_common(folder: Path, first_label: int = 0) -> None:
    """Labels and the split of 20."""
    np.save(folder / "labels.npy", (np.arange(N) % 3 + first_label).astype(np.float64))
    for part, nodes in (("train", range(6)), ("val", range(6, 9)), ("test", range(9, 12))):
        np.save(folder / f"{part}_20.npy", np.array(nodes))


def relation(columns: int, seed: int) -> sp.coo_matrix:
    """A random 0/1 incidence, some rows empty, no column empty."""
    dense = np.random.default_rng(seed).random((N, columns)) < 0.3
    dense[1:, 0] |= ~dense[1:].any(axis=1)
    dense[0] = False
    dense[1] = True
    return sp.coo_matrix(dense.astype(np.float64))


@pytest.fixture
def acm(tmp_path: Path) -> Path:
    """Papers, authors, subjects, with paper features."""
    write_common(tmp_path)
    sp.save_npz(tmp_path / "nei_a.npz", relation(5, 0))
    sp.save_npz(tmp_path / "nei_s.npz", relation(3, 1))
    sp.save_npz(tmp_path / "p_feat.npz", sp.csr_matrix(np.arange(N * 4).reshape(N, 4)))
    return tmp_path


@pytest.fixture
def dblp(tmp_path: Path) -> Path:
    """Authors of papers at conferences with terms, as edge lists."""
    write_common(tmp_path)
    paper_author = [(p, p % N) for p in range(20)]
    for name, pairs in (
        ("pa", paper_author),
        ("pc", [(p, p % 2) for p in range(20)]),
        ("pt", [(p, p % 7) for p in range(20)]),
    ):
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{a}\t{b}" for a, b in pairs) + "\n\n")
    sp.save_npz(tmp_path / "a_feat.npz", sp.csr_matrix(np.eye(N)))
    return tmp_path


def test_acm_layout_is_read_whole(acm: Path) -> None:
    """Labels, row-normalised features, both incidences, meta-paths and the split."""
    data = load_published(acm)
    assert (data.target, sorted(data.metapaths), list(data.splits)) == ("paper", ["PAP", "PSP"], ["20"])
    assert data.y.tolist() == [n % 3 for n in range(N)]
    assert np.allclose(features(data.graph, "paper").sum(axis=1), 1)
    stored = sp.load_npz(acm / "nei_a.npz").toarray()
    assert np.array_equal(incidence(data.graph, ("paper", "to", "author")).toarray(), stored)
    assert np.array_equal(incidence(data.graph, ("author", "to", "paper")).toarray(), stored.T)
    assert features(data.graph, "subject") is None
    assert data.notes == ()


def test_edge_lists_replace_missing_incidences(acm: Path) -> None:
    """HeCo ships pa.txt instead of a readable nei_a."""
    before = incidence(load_published(acm).graph, ("paper", "to", "author"))
    np.savetxt(acm / "pa.txt", np.stack(before.tocoo().coords).T, fmt="%d")
    (acm / "nei_a.npz").unlink()
    after = incidence(load_published(acm).graph, ("paper", "to", "author"))
    assert np.array_equal(before.toarray(), after.toarray())


def test_imdb_labels_are_shifted_and_noted(tmp_path: Path) -> None:
    """Labels from 1 become labels from 0."""
    write_common(tmp_path, first_label=1)
    for letter, columns in (("a", 6), ("d", 4), ("k", 8)):
        sp.save_npz(tmp_path / f"nei_{letter}.npz", relation(columns, columns))
    sp.save_npz(tmp_path / "m_feat.npz", sp.csr_matrix(np.eye(N, 40, dtype=np.int64)))
    data = load_published(tmp_path)
    assert (data.target, sorted(data.metapaths)) == ("movie", ["MAM", "MDM", "MKM"])
    assert data.y.tolist() == [n % 3 for n in range(N)]
    assert "start at 1" in data.notes[0]
    assert data.graph["movie"].x.is_sparse


def test_stand_in_features_are_asked_for_and_marked(tmp_path: Path) -> None:
    """AMiner has no features: an error says what to do; the stand-in keeps all inner products."""
    write_common(tmp_path)
    sp.save_npz(tmp_path / "nei_a.npz", relation(4, 0))
    sp.save_npz(tmp_path / "nei_r.npz", relation(30, 1))
    with pytest.raises(ValueError, match=r'p_feat\.npz.*missing_features="svd"'):
        load_published(tmp_path)
    data = load_published(tmp_path, missing_features="svd")
    assert "stand-in" in data.notes[0]
    x = data.graph["paper"].x.numpy().astype(np.float64)
    halves = [data.half_incidences(name)[0].toarray() for name in data.metapaths]
    gram = sum(half @ half.T / (half**2).sum() for half in halves)
    # One row is empty, so N - 1 columns hold everything.
    assert np.allclose(x @ x.T, gram, atol=1e-6)
    assert np.array_equal(x, load_published(tmp_path, missing_features="svd").graph["paper"].x.numpy())


def test_dblp_layout_has_long_metapaths(dblp: Path) -> None:
    """Author - paper - conference - paper - author from three edge lists."""
    data = load_published(dblp)
    assert (data.target, sorted(data.metapaths)) == ("author", ["APA", "APCPA", "APTPA"])
    first, second = data.half_incidences("APCPA")
    assert (first.shape, second.shape) == ((N, 20), (20, 2))
    assert first.toarray()[5 % N, 17] == 1
    counts = (first @ second @ second.T @ first.T).toarray()
    assert counts[0, 2] == 4  # papers 0, 12 with 2, 14, all at conference 0
    assert counts[0, 1] == 0


@pytest.mark.parametrize("name", ["labels.npy", "nei_a.npz", "p_feat.npz", "val_20.npy"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 nonsense"])
def test_damaged_files_are_named(acm: Path, name: str, content: bytes) -> None:
    """The sentence names the file, whatever is wrong inside."""
    (acm / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        load_published(acm)


@pytest.mark.parametrize("name", ["labels.npy", "val_20.npy", "nei_s.npz", "p_feat.npz"])
def test_missing_files_are_named(acm: Path, name: str) -> None:
    """The sentence names the file that has to be added."""
    (acm / name).unlink()
    with pytest.raises(ValueError, match=rf"lacks.*{name}"):
        load_published(acm, "acm")


def test_unknown_folders_and_layouts_are_refused(tmp_path: Path) -> None:
    """No folder, nothing known in it, an unknown name."""
    with pytest.raises(ValueError, match="no folder"):
        load_published(tmp_path / "none")
    with pytest.raises(ValueError, match=r"none of the known sets.*nei_a\.npz, nei_s\.npz"):
        load_published(tmp_path)
    with pytest.raises(ValueError, match=r"no layout 'cora'.*'acm'"):
        load_published(tmp_path, "cora")  # type: ignore[arg-type]


def test_shapes_that_do_not_fit_are_refused(acm: Path) -> None:
    """A relation with more rows than labels, and an edge list with a paper beyond the labels."""
    sp.save_npz(acm / "nei_a.npz", sp.coo_matrix(np.ones((N + 1, 2))))
    with pytest.raises(ValueError, match="13 rows but there are 12 labels"):
        load_published(acm)
    (acm / "nei_a.npz").unlink()
    (acm / "pa.txt").write_text("12 0\n")
    with pytest.raises(ValueError, match=r"pa\.txt names paper 12 but there are 12"):
        load_published(acm)
    (acm / "pa.txt").write_text("1 zero\n")
    with pytest.raises(ValueError, match=r"pa\.txt is damaged"):
        load_published(acm)
