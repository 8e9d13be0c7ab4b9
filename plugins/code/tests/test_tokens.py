"""Code and queries as rows of token ids with aligned types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from contrast_code.languages import ALL_KINDS, leaves
from contrast_code.rows import Ragged, Snippet
from contrast_code.tokens import FITTED, KEY, Tokens, of_model, trained

CODE = ["def parse_date(text):\n    return int(text[:4])", "def parseTime(s):\n    return s.split(':')[0]"]
QUERIES = ["Parse a date.", "Parse the time out of a text."]
SNIPPETS = [Snippet.of(leaves(code, "python")) for code in CODE]
TOKENS = trained(SNIPPETS, QUERIES, 320, code_length=12, query_length=6)


def test_names_are_split_and_lower_case() -> None:
    """So that a word of a query is the same token in a name of code."""
    one, two = (TOKENS.text(TOKENS.query_rows([text]).ids.padded()[0]) for text in ("parse", "Parse"))
    assert one == two
    assert TOKENS.text(TOKENS.code_rows([leaves("parseTime", "python")]).ids.padded()[0])[: len(one)] == one


def test_each_token_has_the_type_of_its_leaf() -> None:
    """Position by position, over all pieces of a leaf."""
    code = leaves("xyz_q = 12", "python")
    rows = TOKENS.code_rows([code])
    kinds = [ALL_KINDS[TOKENS.kinds.index(kind)] for kind in rows.kinds.padded()[0].tolist()]
    pieces = [len(TOKENS.code_rows([[leaf]]).ids.values) for leaf in code]
    assert kinds == ["identifier"] * pieces[0] + ["operator"] * pieces[1] + ["integer"] * pieces[2]


def test_rows_are_cut_off_and_padded() -> None:
    """Code and queries at their own lengths; a longer text gives the same row as its beginning."""
    rows = TOKENS.code_rows([leaves(code, "python") for code in CODE] + [[]])
    assert rows.ids.padded().shape == (3, 12)
    assert (rows.ids.padded(np.array([2])) == -1).all()
    assert TOKENS.query_rows(QUERIES).ids.padded().shape == (2, 6)
    long = Snippet.of(leaves(CODE[0] + "\n    # more\n    x = 1" * 50, "python"))
    assert np.array_equal(TOKENS.snippet_rows([long]).ids.values, TOKENS.snippet_rows([SNIPPETS[0]]).ids.values)


def test_leaf_by_leaf_is_as_whole_texts() -> None:
    """Cutting each leaf once gives the same tokens and types."""
    slow = Tokens.loaded(TOKENS.dumped().replace(b'"by_leaf": true', b'"by_leaf": false'))
    snippets = [*SNIPPETS, Snippet.of([]), Snippet.of(leaves("x = 'a  b' + \"it's\"; été_Über = f'{y}'", "python"))]
    for one, other in zip(_both(TOKENS, snippets), _both(slow, snippets), strict=True):
        assert np.array_equal(one.values, other.values)
        assert np.array_equal(one.bounds, other.bounds)


def _both(tokens: Tokens, snippets: list[Snippet]) -> tuple[Ragged, Ragged]:
    rows = tokens.snippet_rows(snippets)
    return rows.ids, rows.kinds


def test_a_frame_is_around_each_row_and_has_no_type() -> None:
    """As UniXcoder's beginning, which augmentation does not touch."""
    framed = Tokens.loaded(TOKENS.dumped().replace(b'"prefix": []', b'"prefix": ["<mask>"]'))
    ids, kinds = (rows.padded()[0] for rows in vars_of(framed))
    assert ids[0] == framed.mask
    assert kinds[0] == -1


def vars_of(tokens: Tokens) -> tuple[Ragged, Ragged]:
    """Ids and types of one row."""
    rows = tokens.code_rows([leaves("x", "python")])
    return rows.ids, rows.kinds


def test_own_name_can_be_taken_out() -> None:
    """The hard variant: every leaf that spells it."""
    shorter = SNIPPETS[0].without("parse_date")
    assert "parse_date" not in shorter.text
    assert shorter.text == SNIPPETS[0].text.replace("parse_date ", "")
    assert shorter.ends[-1] == len(shorter.text)
    assert len(shorter.kinds) == len(SNIPPETS[0].kinds) - 1
    assert Snippet.of([]).without("x").text == ""


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=6))
def test_ragged_rows_pad_and_count(rows: list[list[int]]) -> None:
    """Against loops."""
    ragged = Ragged.of(rows)
    items = np.arange(len(rows))[::-1].copy()
    padded, counted = ragged.padded(items, 77), ragged.counted(items, 10).toarray()
    for place, item in enumerate(items):
        row = rows[item]
        assert padded[place].tolist() == row + [77] * (padded.shape[1] - len(row))
        assert counted[place].tolist() == [row.count(value) for value in range(10)]


def test_a_run_folder_keeps_the_tokens_and_a_query_needs_no_torch(tmp_path: Path) -> None:
    """They come back equal, in a process that never imports torch."""
    save_file({KEY: torch.frombuffer(bytearray(TOKENS.dumped()), dtype=torch.uint8)}, tmp_path / FITTED)
    program = (
        "import sys; from pathlib import Path; from contrast_code.tokens import Tokens; "
        f"found = Tokens.of_run(Path({str(tmp_path)!r})).query_rows({QUERIES!r}).ids.values.tolist(); "
        "print(found, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == f"{TOKENS.query_rows(QUERIES).ids.values.tolist()} False"


def test_damaged_or_missing_tokens_are_refused(tmp_path: Path) -> None:
    """With the file's name."""
    save_file({"other": torch.zeros(1)}, tmp_path / FITTED)
    with pytest.raises(ValueError, match="holds no tokens: this is no run of contrast-code"):
        Tokens.of_run(tmp_path)
    with pytest.raises(ValueError, match="damaged"):
        Tokens.loaded(b'{"kinds": []')
    with pytest.raises(ValueError, match="other types of leaves"):
        Tokens.loaded(TOKENS.dumped().replace(b'"identifier"', b'"word"'))


def test_lengths_and_tokens_that_cannot_be_are_refused() -> None:
    """A row needs room for text, and the tokenizer the named tokens."""
    with pytest.raises(ValueError, match="query_length = 0 leaves no room for text"):
        trained(SNIPPETS, QUERIES, 300, code_length=5, query_length=0)
    with pytest.raises(ValueError, match=r"The tokenizer has no token '\[CLS\]'"):
        Tokens.loaded(TOKENS.dumped().replace(b'"prefix": []', b'"prefix": ["[CLS]"]'))
    with pytest.raises(ValueError, match="The tokenizer of 'no/such' can't be had"):
        of_model("no/such", (), (), code_length=5, query_length=5)
