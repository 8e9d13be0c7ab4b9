"""One's own table, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from contrast_core.data.table import Table

ROWS = "a,b,kind,id\n1,10,cat,x\n2,20,dog,y\n3,30,,z\n4,40,cat,w\n"


def written(folder: Path, text: str, name: str = "t.csv") -> Path:
    """A file with that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_become_features_labels_and_names(tmp_path: Path) -> None:
    """Everything but label, name and ignored columns is a feature; an empty label is unknown."""
    data = Table(written(tmp_path, ROWS), label="kind", name="id", ignore=["b"], standardise="none", shown="all")
    data.load()
    batch = data.batch(torch.tensor([2, 0]))
    assert batch["features"].tolist() == [[3.0], [1.0]]
    assert batch["label"].tolist() == [-1, 0]
    assert data.classes == ["cat", "dog"]
    assert list(data.names) == ["x", "y", "z", "w"]
    assert data.source == "t.csv: 4 rows, 1 features"


def test_a_table_without_labels_promises_none(tmp_path: Path) -> None:
    """Then neither batch nor evaluation has any, and the recipe's check knows."""
    data = Table(written(tmp_path, "a,b\n1,2\n3,4\n"))
    data.load()
    assert data.labels is None
    assert data.gives == ("features", "sample")
    assert set(data.batch(torch.tensor([0]))) == {"features", "sample"}


def test_standardising_uses_training_rows_alone(tmp_path: Path) -> None:
    """Mean 0 and deviation 1 on the training rows; a constant feature becomes zero."""
    values = np.random.default_rng(0).normal(7, 3, (50, 3))
    values[:, 2] = 1e6 + 0.1
    np.save(tmp_path / "t.npy", values)
    data = Table(tmp_path / "t.npy")
    data.load()
    rows = data.batch(torch.arange(50))["features"].double()
    train = rows[data.splits["all"].train]
    torch.testing.assert_close(train.mean(0), torch.zeros(3).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(train[:, :2].std(0, correction=0), torch.ones(2).double(), atol=1e-6, rtol=0)
    assert (rows[:, 2] == 0).all()
    assert abs(float(rows.mean(0)[0])) > 1e-6


def test_rows_of_unknown_label_are_never_tested_on(tmp_path: Path) -> None:
    """They train; the other parts hold known labels only."""
    labels = np.array([0, 1, -1] * 20)
    np.savez(tmp_path / "t.npz", features=np.random.default_rng(0).normal(size=(60, 2)), kind=labels)
    data = Table(tmp_path / "t.npz", label="kind")
    data.load()
    split = data.splits["all"]
    assert data.labels is not None
    assert (data.labels[split.test] >= 0).all()
    assert (data.labels[split.val] >= 0).all()
    assert sum(map(len, (split.train, split.val, split.test))) == 60


def test_whole_number_labels_are_ordered_by_size(tmp_path: Path) -> None:
    """Class 10 comes after class 9, not after class 1."""
    data = Table(written(tmp_path, "a,k\n1,10\n2,9\n3,1\n"), label="k")
    data.load()
    assert data.classes == ["1", "9", "10"]


def test_the_header_that_pandas_counts_is_a_header(tmp_path: Path) -> None:
    """Columns called 0, 1, 2 are names, not a row of data."""
    data = Table(written(tmp_path, "0,1\n5,6\n7,8\n"), standardise="none")
    data.load()
    assert data.batch(torch.arange(2))["features"].tolist() == [[5, 6], [7, 8]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"t\.csv is empty"),
        ("a,kind\n", r"first line but no rows"),
        ("a,kind\n1,x\noops,y\n", r"t\.csv, line 3, column 'a': 'oops' is no finite number"),
        ("a,kind\n1,x\nnan,y\n", r"line 3, column 'a': 'nan' is no finite number"),
        ("a,kind\n1,x\n1_000,y\n", r"'1_000' is no finite number"),
        ("a,kind\n,x\n", r"line 2, column 'a': '' is no finite number"),
        ("a,kind\n1,x,3\n", r"line 2 has 3 cells, but there are 2 columns"),
        ("a,kimd\n1,x\n", r"no column 'kind'\. Did you mean kimd\?"),
        ("1.5,2.5\n3,4\n", r"line 1 holds numbers; the first line must name the columns"),
        ("a,a,kind\n1,2,x\n", r"the column 'a' twice"),
        (",a,kind\n0,1,x\n", r"column 1 has no name"),
        ("kind\nx\n", r"no column left for the features"),
        ('a,kind\n1,"x\n', r"can't be read as a CSV file"),
    ],
)
def test_a_wrong_csv_file_is_refused_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    """The sentence names the file, the line and the column."""
    with pytest.raises(ValueError, match=sentence):
        Table(written(tmp_path, text), label="kind").load()


def test_files_that_are_not_there_or_not_tables_are_refused(tmp_path: Path) -> None:
    """A missing file, an unknown ending, and binary rubbish give one sentence each."""
    with pytest.raises(ValueError, match=r"gone\.csv can't be read as a CSV file: there is no such file"):
        Table(tmp_path / "gone.csv").load()
    with pytest.raises(ValueError, match=r"must be a \.csv, \.npy or \.npz file"):
        Table(tmp_path / "t.parquet").load()
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"can't be read as a CSV file"):
        Table(tmp_path / "t.csv").load()
    for ending in ("npz", "npy"):
        (tmp_path / f"t.{ending}").write_bytes(b"rubbish")
        with pytest.raises(ValueError, match=r"can't be read as a NumPy file"):
            Table(tmp_path / f"t.{ending}").load()


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"features": np.ones((3, 2)), "kind": np.arange(2)}, r"'kind' of t\.npz has shape \(2,\).* 3 rows"),
        ({"features": np.ones((3, 2)), "kinds": np.arange(3)}, r"no array 'kind'\. Did you mean kinds\?"),
        ({"feature": np.ones((3, 2))}, r"no array 'features'\. Did you mean feature\?"),
        ({"features": np.ones(3), "kind": np.arange(3)}, r"must be numbers \(n, k\)"),
        ({"features": np.ones((3, 2)), "kind": np.ones(3)}, r"must be whole numbers or texts, not float64"),
        ({"features": np.array([[1, np.inf]]), "kind": np.arange(1)}, r"hold inf in row 0, column 1"),
        ({"features": np.array([["x"]]), "kind": np.arange(1)}, r"must be numbers"),
        ({"features": np.array([[None]], dtype=object), "kind": np.arange(1)}, r"can't be read"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str) -> None:
    """Shapes, lengths, names and types are checked; nothing pickled is loaded."""
    np.savez(tmp_path / "t.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=sentence):
        Table(tmp_path / "t.npz", label="kind").load()


def test_another_table_is_scaled_like_the_first(tmp_path: Path) -> None:
    """What a model keeps of its table, another table adopts: equal numbers become equal features."""
    first = Table(written(tmp_path, "a,b\n1,10\n2,20\n3,60\n4,40\n5,70\n6,5\n"))
    second = Table(written(tmp_path, "a,b\n2,20\n9,9\n7,5\n1,1\n3,2\n8,5\n", "other.csv"))
    for data in (first, second):
        data.load()
    second.adopt(first.fitted())
    same = [data.batch(torch.tensor([row]))["features"] for data, row in ((first, 1), (second, 0))]
    assert torch.equal(*same)
    narrow = Table(written(tmp_path, "a\n1\n2\n3\n4\n", "narrow.csv"))
    narrow.load()
    with pytest.raises(ValueError, match=r"narrow\.csv has 1 features; the model was trained on 2"):
        narrow.adopt(first.fitted())
