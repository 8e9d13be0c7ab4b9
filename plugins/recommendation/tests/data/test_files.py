"""Files of interactions: four layouts, and one sentence for whatever is wrong in one."""

from __future__ import annotations

import sys

import pytest

from contrast_recommendation.data.component import Interactions

CSV = "user_id,item_id,timestamp\n" + "".join(f"{u},{i},{t}\n" for u in "ab" for t, i in enumerate("vwxyz"))


def loaded(path, **options) -> Interactions:
    """The data of a file without filters."""
    data = Interactions(path, **{"user_minimum": 1, "item_minimum": 1, **options})
    data.load()
    return data


def items(data) -> list[str]:
    """All sequences end to end, by name."""
    return [data.sequences.names[i - 1] for i in data.sequences.items]


def test_all_layouts_give_the_same(tmp_path):
    """CSV, TSV, RecBole's atomic file and folder, and lists of a user's items, in one line or in pairs."""
    files = {
        "a.csv": CSV,
        "b.tsv": CSV.replace(",", "\t"),
        "c.inter": CSV.replace(",", "\t").replace(
            "user_id\titem_id\ttimestamp", "user_id:token\titem_id:token\ttimestamp:float"
        ),
        "d.txt": "a v w x y z\n\nb v w x y z\n",
        "e.txt": "".join(f"{u} {i}\n" for i in "vwxyz" for u in "ab"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "set.inter").write_text(files["c.inter"])
    for name in [*files, "set"]:
        data = loaded(tmp_path / name)
        assert items(data) == [*"vwxyz"] * 2
        assert list(data.sequences.users) == ["a", "b"]
        assert (len(data.training_items), len(data.evaluation_items)) == (4, 4)


def test_parquet(tmp_path):
    """The columns of a Parquet file, times as dates."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    times = pyarrow.array([5, 1, 2, 3, 4], pyarrow.timestamp("ms"))
    table = {"user_id": [7] * 5, "item_id": [1, 2, 3, 4, 5], "timestamp": times}
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    assert items(loaded(tmp_path / "a.parquet")) == ["2", "3", "4", "5", "1"]
    parquet.write_table(pyarrow.table({**table, "item_id": [1, 2, None, 4, 5]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet, row 3: 'item_id' is empty"):
        loaded(tmp_path / "b.parquet")
    (tmp_path / "c.parquet").write_text("nonsense")
    with pytest.raises(ValueError, match=r"c\.parquet can't be read"):
        loaded(tmp_path / "c.parquet")


def test_parquet_without_its_package(tmp_path, monkeypatch):
    """Where pyarrow is not installed the sentence says so."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("contrast_recommendation.data.parquet.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install pyarrow"):
        loaded(tmp_path / "a.parquet")


def test_columns_by_other_names_and_filters(tmp_path):
    """Column names, a rating to filter by, and quoted cells."""
    (tmp_path / "log.csv").write_text(
        'stars,who,"what, exactly",when\n' + "".join(f'{s},ann,"{i}, new",{9 - s}\n' for s, i in enumerate("abcde", 1))
    )
    data = loaded(tmp_path / "log.csv", user="who", item="what, exactly", time="when", rating="stars", minimum_rating=2)
    assert items(data) == ["e, new", "d, new", "c, new", "b, new"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "", r"a\.csv is empty: its first line must name the columns"),
        ("a.csv", "user_id,item_id,timestamp\n", r"a\.csv holds no interactions"),
        ("a.csv", CSV.replace("item_id", "user_id"), r"a\.csv, line 1 has the column 'user_id' twice"),
        ("a.csv", CSV.replace("item_id", "item"), r"a\.csv has no column 'item_id'.*Did you mean item\?"),
        ("a.csv", CSV.replace("timestamp", "day"), r"no column 'timestamp'.*data\.order = \"file\" if its rows are in"),
        ("a.csv", CSV.replace("a,x,2", "a,x"), r"a\.csv, line 4 has 2 cells, but there are 3 columns"),
        (
            "a.csv",
            CSV.replace("a,x,2", "a,x,noon"),
            r"a\.csv, line 4: 'timestamp' is 'noon', which is no finite number",
        ),
        ("a.csv", CSV.replace("a,x,2", "a,x,"), r"a\.csv, line 4: 'timestamp' is '', which is no finite number"),
        ("a.csv", CSV.replace("a,x,2", "a,x,inf"), r"a\.csv, line 4: 'timestamp' is 'inf'"),
        ("a.csv", CSV.replace("a,x,2", "a, ,2"), r"a\.csv, line 4: 'item_id' is empty"),
        ("a.csv", CSV.replace("b,v", '"b,v'), r"a\.csv can't be read"),
        ("a.inter", CSV.replace(",", "\t"), r"a\.inter, line 1: column 1, 'user_id', must say its type"),
        ("a.inter", "user_id:word\titem_id:token\n", r"column 1, 'user_id:word', must say its type"),
        ("a.txt", "", r"a\.txt holds no interactions"),
        ("a.txt", "1 2 3\n4\n", r"a\.txt, line 2: the user '4' has no items"),
        ("a.json", "{}", r"a\.json must be a file \.inter"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, name, text, sentence):
    """One clear sentence for each defect."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=sentence):
        loaded(tmp_path / name)


def test_files_that_are_not_there_or_no_text(tmp_path):
    """Missing files, a folder without its file, and bytes that are no text."""
    for name in ("none.csv", "none.inter", "none.txt"):
        with pytest.raises(ValueError, match="there is no such file"):
            loaded(tmp_path / name)
    (tmp_path / "set").mkdir()
    with pytest.raises(ValueError, match=r"set\.inter can't be read"):
        loaded(tmp_path / "set")
    for name in ("bad.csv", "bad.txt"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match=f"{name} can't be read"):
            loaded(tmp_path / name)
