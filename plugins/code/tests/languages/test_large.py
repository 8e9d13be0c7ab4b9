"""Large files are searched for functions part by part."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from contrast_code.languages import LANGUAGES, functions


def test_parts_have_the_functions_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the parts are: names, docstrings and code."""
    module = sys.modules["contrast_code.languages.functions"]
    text = (
        Path(str(module.__file__)).read_text("utf-8")
        + "class A:\n    # about\n    @staticmethod\n    def f(): 'it'; pass\n"
    )
    wanted = functions(text, "python")
    assert wanted[-1].name == "f"
    for whole in (0, 1, 10, 100):
        monkeypatch.setattr(module, "WHOLE", whole)
        assert functions(text, "python") == wanted


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_megabyte_of_no_code_is_no_hour(language: str) -> None:
    """Brackets that never close have too many neighbours to look at each other."""
    for junk in ("{", "func (", "def a\n", "((((", '"""'):
        functions("class A { void f() " + junk * (400_000 // len(junk)), language)
