"""Pairs out of libraries and out of CodeSearchNet's files."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from contrast_code.data.codesearchnet import CodeSearchNet
from contrast_code.data.filters import Pair, query_of, without_twins, worth
from contrast_code.data.installed import InstalledLibraries
from contrast_code.data.library import installed, library_pairs
from contrast_code.data.pairs import groups
from contrast_code.languages import leaves
from contrast_code.lexical import Lexical
from contrast_code.rows import Snippet

SMALL: dict[str, Any] = {
    "libraries": ["networkx"],
    "limit": 300,
    "vocabulary": 600,
    "code_length": 32,
    "query_length": 12,
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the tests' own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRAST_CACHE", str(folder))
        library_pairs(installed(["networkx"]))
        yield folder


def loaded(**settings: Any) -> InstalledLibraries:
    """The small set with some settings."""
    data = InstalledLibraries(**{**SMALL, **settings})
    data.load()
    return data


def pair(query: str, code: str, name: str = "f", **told: str) -> Pair:
    """A pair of Python."""
    snippet = Snippet.of(leaves(code, "python"))
    return Pair(query, snippet, name, told.get("file", "a.py"), "python", told.get("origin", "a"))


def test_files_go_whole_into_one_part() -> None:
    """And every part has some."""
    data = loaded()
    parts = {name: items.tolist() for name, items in zip(("train", "val", "test"), vars_of(data), strict=True)}
    assert sorted(item for items in parts.values() for item in items) == list(range(300))
    where = [(part, data.pairs[item].file) for part, items in parts.items() for item in items]
    assert max(Counter(file for _, file in set(where)).values()) == 1
    assert 10 < len(parts["test"]) < 100
    assert data.evaluation_items.tolist() == parts["val"] + parts["test"]


def vars_of(data: InstalledLibraries) -> tuple[torch.Tensor, ...]:
    """The three parts."""
    split = data.splits["all"]
    return split.train, split.val, split.test


def test_batches_hold_aligned_rows() -> None:
    """Ids and types of one shape; the query is not in the code; the same again for the same items."""
    data = loaded()
    batch = data.batch(torch.tensor([3, 5, 8]))
    assert batch["code"].shape == batch["code_kinds"].shape
    assert batch["query"].shape == batch["query_kinds"].shape
    assert batch["code"].shape[1] <= 32
    assert batch["query"].shape[1] <= 12
    assert torch.equal(batch["query_kinds"] == -1, batch["query"] == -1)
    kinds = batch["code_kinds"][batch["code"] >= 0]
    assert set(kinds.tolist()) <= set(data.tokens.kinds)
    assert int(batch["vocabulary"]) > max(data.tokens.kinds)
    assert "networkx" in data.source
    assert "BSD-3-Clause" in data.source


def test_a_hidden_library_is_only_tested_on(cache: Path) -> None:
    """The transfer test."""
    data = loaded(libraries=["networkx", "numpy"], hidden_origins=["numpy"], limit=400)
    train, _, test = vars_of(data)
    assert {data.pairs[item].origin for item in test.tolist()} == {"numpy"}
    assert {data.pairs[item].origin for item in train.tolist()} == {"networkx"}
    with pytest.raises(ValueError, match="hidden_origins names scipy, of which there is no pair"):
        loaded(hidden_origins=["scipy"])


def test_names_can_be_hidden() -> None:
    """No code then holds its function's name as a name."""
    shown, hidden = loaded(), loaded(hide_names=True)
    assert shown.batch(torch.arange(20))["code"].shape[0] == 20
    assert sum(map(len, (hidden.rows[0].ids.bounds,))) == sum(map(len, (shown.rows[0].ids.bounds,)))
    assert int(hidden.rows[0].ids.bounds[-1]) < int(shown.rows[0].ids.bounds[-1])


def test_the_tokens_of_a_run_are_adopted() -> None:
    """Other data are read by the tokens that the run learned."""
    one, other = loaded(), loaded(vocabulary=400, split_seed=3)
    before = other.batch(torch.tensor([0]))["code"]
    other.adopt(one.fitted())
    after = other.batch(torch.tensor([0]))["code"]
    assert not torch.equal(before, after)
    assert other.tokens.dumped() == one.tokens.dumped()
    with pytest.raises(ValueError, match="holds no tokens"):
        other.adopt({})


def test_a_damaged_cache_is_built_again(cache: Path) -> None:
    """Nobody notices."""
    versions = installed(["networkx"])
    before = library_pairs(versions)
    (file,) = (
        cache.glob("code-pairs-*.json.gz")
        if len(list(cache.glob("code-pairs-*"))) == 1
        else [max(cache.glob("code-pairs-*.json.gz"), key=lambda path: -path.stat().st_size)]
    )
    file.write_bytes(file.read_bytes()[:1000])
    again = library_pairs(versions)
    assert [(p.query, p.code.text, p.name) for p in again] == [(p.query, p.code.text, p.name) for p in before]
    kept = library_pairs(versions)
    assert all(
        (a.code.ends == b.code.ends).all() and (a.code.kinds == b.code.kinds).all()
        for a, b in zip(kept, before, strict=True)
    )


def test_what_is_kept_of_a_library() -> None:
    """The filters of CodeSearchNet."""
    assert query_of("Adds two numbers.\nOf any size.\n\nMore.") == "Adds two numbers. Of any size."
    for refused in (
        None,
        "",
        "Too short",
        "See https://example.org for more of it",
        "Größe of a thing here",
        "w " * 300,
    ):
        assert query_of(refused) is None
    assert worth("f", "a\nb\nc")
    assert not worth("f", "a\nb")
    assert not worth("__init__", "a\nb\nc")
    assert not worth("run_tests", "a\nb\nc")
    same = [pair("one two three", "x = 1"), pair("One two three", "y = 2"), pair("other", "x = 1"), pair("new", "z")]
    assert [each.query for each in without_twins(same)] == ["one two three", "new"]


def test_groups_join_equal_codes_and_equal_queries() -> None:
    """Also through others."""
    found = groups([pair("a", "x"), pair("b", "x"), pair("B", "y"), pair("c", "z")]).tolist()
    assert found[0] == found[1] == found[2] != found[3]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"libraries": ["requests"]}, "'requests' is no library that pairs are taken from; these are python, networkx"),
        ({"test": 0.0}, "There are 0 pairs to test on, of 300 in all"),
        ({"validation": 0.6, "test": 0.6}, "leave some to train on"),
        ({"vocabulary": 100}, "vocabulary = 100 must be at least 300"),
        ({"limit": 3}, "limit = 3 leaves too few pairs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], sentence: str) -> None:
    """In one sentence."""
    with pytest.raises(ValueError, match=sentence):
        loaded(**settings)


PYTHON = {
    "code": 'def f(x):\n    """Doc."""\n    return x + {n} # hm\n',
    "docstring_tokens": ["Add", "{n}"],
    "func_name": "A.f",
}
GO = {
    "original_string": "func F(x int) int { return x + {n} }",
    "docstring_tokens": ["Go", "adds", "{n}"],
    "func_name": "F",
}


def net(folder: Path, languages: dict[str, dict[str, Any]], counts: dict[str, int]) -> Path:
    """A small CodeSearchNet; the first language in plain files, the others as in the original."""
    for place, (language, told) in enumerate(languages.items()):
        for part, count in counts.items():
            lines = [json.dumps(told).replace("{n}", str(number)) for number in range(count)]
            if place == 0:
                file = folder / language / f"{part}.jsonl"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("\n".join(lines) + "\n")
            else:
                file = folder / language / "final" / "jsonl" / part / f"{language}_{part}_0.jsonl.gz"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def test_codesearchnet_is_read_in_both_layouts(tmp_path: Path) -> None:
    """With its own parts; docstrings and comments are no code; batches are of one language each."""
    data = CodeSearchNet(
        net(tmp_path, {"python": PYTHON, "go": GO}, {"train": 40, "valid": 4, "test": 6}), vocabulary=400
    )
    data.load()
    for split in (data.splits["python"], data.splits["go"]):
        assert [len(split.train), len(split.val), len(split.test)] == [40, 4, 6]
    assert all("Doc" not in each.code.text and "hm" not in each.code.text for each in data.pairs)
    assert {each.name for each in data.pairs} == {"f", "F"}
    batches = data.drawn(10, torch.Generator().manual_seed(0))
    assert batches is not None
    assert len(batches) == 8
    for batch in batches:
        assert len({data.pairs[item].language for item in batch.tolist()}) == 1
        assert len(batch.unique()) == len(batch) == 10
    assert {data.pairs[int(batch[0])].language for batch in batches} == {"python", "go"}
    one = CodeSearchNet(tmp_path, languages=["go"], vocabulary=400)
    one.load()
    assert one.drawn(10, torch.Generator()) is None
    assert list(one.splits) == ["all"]


def test_a_codebase_is_searched_and_never_asked(tmp_path: Path) -> None:
    """All of its code is a candidate; what is the test part's own counts as found; nothing of it trains."""
    folder = net(tmp_path, {"python": PYTHON}, {"train": 5, "valid": 2, "test": 3, "codebase": 9})
    lines = (folder / "python" / "codebase.jsonl").read_text().splitlines()
    bare = [
        json.dumps({key: value for key, value in json.loads(line).items() if key != "docstring_tokens"})
        for line in lines
    ]
    (folder / "python" / "codebase.jsonl").write_text("\n".join(bare))
    data = CodeSearchNet(folder, vocabulary=400)
    data.load()
    split = data.splits["all"]
    assert [len(split.train), len(split.val), len(split.test)] == [5, 2, 12]
    batch = data.batch(split.test)
    assert batch["asked"].sum() == 3
    assert len(batch["group"].unique()) == 9
    for by in Lexical(pool=None).ranks(data).values():
        assert len(by["test"]) == 3
        assert by["test"].max() <= 9


def test_what_is_wrong_with_codesearchnets_files_is_said(tmp_path: Path) -> None:
    """By file and line; a line without code or query is skipped and counted."""
    folder = net(tmp_path, {"python": PYTHON}, {"train": 5, "valid": 2, "test": 3})
    file = folder / "python" / "train.jsonl"
    good = file.read_text()
    file.write_text(good + json.dumps({**PYTHON, "docstring_tokens": []}) + "\n")
    data = CodeSearchNet(folder, vocabulary=400)
    data.load()
    assert "1 lines without code or query skipped" in data.source
    for line, sentence in (
        ("{", r"train\.jsonl:6 is no JSON"),
        ('{"code": "x"}', r"train\.jsonl:6 must have code, docstring_tokens \(a list\) and func_name"),
    ):
        file.write_text(good + line + "\n")
        with pytest.raises(ValueError, match=sentence):
            CodeSearchNet(folder, vocabulary=400).load()
    (folder / "python" / "test.jsonl").unlink()
    file.write_text(good)
    with pytest.raises(ValueError, match=r"has neither test\.jsonl nor final/jsonl/test"):
        CodeSearchNet(folder, vocabulary=400).load()
    with pytest.raises(ValueError, match="There is no folder"):
        CodeSearchNet(tmp_path / "none", vocabulary=400).load()
    with pytest.raises(ValueError, match="no grammar of 'cobol'"):
        CodeSearchNet(folder, languages=["cobol"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has none of the folders python"):
        CodeSearchNet(tmp_path / "empty").load()
