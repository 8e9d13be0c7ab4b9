"""One's own texts, and what is said when they are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from contrast_core.data.texts import Texts

LINES = "a cat\n\n  a dog \nan owl\n"
CSV = 'query,passage,kind\nwho?,"me, of course",1\nwhere?,here,\nwhen?,now,10\nwhy?,so,2\n'


def loaded(folder: Path, text: str, name: str = "t.txt", **options: Any) -> Texts:
    """The data of a file with that text."""
    (folder / name).write_text(text, encoding="utf-8")
    data = Texts(folder / name, **options)
    data.load()
    return data


def test_a_text_a_line_is_given_twice(tmp_path: Path) -> None:
    """Empty lines are left out; both views are the text itself."""
    data = loaded(tmp_path, LINES)
    batch = data.batch(torch.tensor([2, 0]))
    assert (batch["one"], batch["two"]) == (["an owl", "a cat"], ["an owl", "a cat"])
    assert batch["sample"].tolist() == [2, 0]
    assert set(batch) == {"one", "two", "sample"}
    assert data.gives == ("one", "two", "sample")
    assert data.labels is None
    assert list(data.names) == ["a cat", "a dog", "an owl"]
    assert data.source == "t.txt: 3 texts"


def test_two_columns_are_pairs_and_labels_are_ordered(tmp_path: Path) -> None:
    """Whole numbers by size; an empty label is unknown, and its item trains."""
    options: dict[str, Any] = {"columns": ["query", "passage"], "label": "kind", "validation": 0.0, "test": 0.4}
    data = loaded(tmp_path, CSV, "t.csv", shown="all", **options)
    batch = data.batch(torch.tensor([0, 1]))
    assert (batch["one"], batch["two"]) == (["who?", "where?"], ["me, of course", "here"])
    assert batch["label"].tolist() == [0, -1]
    assert data.classes == ["1", "2", "10"]
    assert data.labels is not None
    assert data.labels.tolist() == [0, -1, 2, 1]
    assert 1 in data.splits["all"].train.tolist()
    assert len(data.splits["all"].test) == 1
    assert data.source == "t.csv: 4 pairs of texts"


def test_labels_of_tested_items_are_not_shown(tmp_path: Path) -> None:
    """Only those of the training half."""
    text = "text,kind\n" + "".join(f"number {n},{n % 2}\n" for n in range(20))
    data = loaded(tmp_path, text, "t.csv", label="kind")
    shown = data.batch(torch.arange(20))["label"]
    train = data.splits["all"].train
    assert (shown >= 0).nonzero().squeeze(1).equal(train)
    assert len(train) == 10


def test_json_lines_are_read_by_their_keys(tmp_path: Path) -> None:
    """Other keys are ignored; a label may be null, a text or a number."""
    rows = [{"text": "a\nb", "kind": 3, "more": [1]}, {"text": "c", "kind": None}, {"text": "d", "kind": "x"}]
    text = "\n".join(json.dumps(row) for row in rows)
    data = loaded(tmp_path, text + "\n\n", "t.jsonl", label="kind", validation=0.0, test=0.0, shown="all")
    batch = data.batch(torch.arange(3))
    assert batch["one"] == ["a\nb", "c", "d"]
    assert batch["label"].tolist() == [0, -1, 1]


@pytest.mark.parametrize(
    ("text", "name", "options", "message"),
    [
        ("a", "t.pdf", {}, "t.pdf must be a .txt, .csv or .jsonl file, by its ending"),
        ("\n \n", "t.txt", {}, "t.txt has no texts"),
        ("a\n", "t.txt", {"label": "x"}, "two columns or labels need a .csv or .jsonl file"),
        ("a\n", "t.txt", {"columns": ["a", "b"]}, "two columns or labels need a .csv or .jsonl file"),
        ("text,b\n", "t.csv", {}, "t.csv has no texts"),
        ("", "t.csv", {}, "t.csv has no texts"),
        ("txt,b\nx,y\n", "t.csv", {}, "t.csv, line 2 has no 'text'. Did you mean txt"),
        ("text,text\nx,y\n", "t.csv", {}, "t.csv, line 1 has the column 'text' twice"),
        ("text,b\nx,y\nz\n", "t.csv", {}, "t.csv, line 3 has 1 cells, but there are 2 columns"),
        ("text,b\nx,y\n ,y\n", "t.csv", {}, "t.csv, line 3: 'text' must be a text, not ' '"),
        ('{"text": "x"}\n{"text": 3}\n', "t.jsonl", {}, "t.jsonl, line 2: 'text' must be a text, not 3"),
        ('{"text": "x"}\n\n{"txt": 3}\n', "t.jsonl", {}, "t.jsonl, line 3 has no 'text'. Did you mean txt"),
        ('{"text": "x"}\n{', "t.jsonl", {}, "t.jsonl, line 2 is no JSON"),
        ('["x"]\n', "t.jsonl", {}, "t.jsonl, line 1 must be an object"),
        ('{"text": "x", "k": 0.5}\n', "t.jsonl", {"label": "k"}, "line 1: the label 'k' must be a text or a whole"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(
    text: str, name: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """One sentence with file, line and column."""
    with pytest.raises(ValueError, match=message.replace("?", ".")):
        loaded(tmp_path, text, name, **options)


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    """It is not there, or is no text in UTF-8."""
    with pytest.raises(ValueError, match=r"none\.txt can't be read: there is no such file"):
        Texts(tmp_path / "none.txt").load()
    (tmp_path / "t.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"t\.txt can't be read: "):
        Texts(tmp_path / "t.txt").load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": []}, "columns must hold one name, or two different ones"),
        ({"columns": ["a", "a"]}, "columns must hold one name, or two different ones"),
        ({"columns": ["a", "b", "c"]}, "columns must hold one name, or two different ones"),
        ({"delimiter": ";;"}, "delimiter must be one character"),
        ({"test": 1.0}, "must be fractions"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    """Before the file is looked for."""
    with pytest.raises(ValueError, match=message):
        Texts(Path("t.txt"), **options)
