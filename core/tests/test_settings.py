"""Settings from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contrast_core.errors import ContrastError
from contrast_core.recipe import parse_recipe
from contrast_core.settings import as_settings


def test_settings_from_python_keep_their_types() -> None:
    """Nested, with everything that TOML knows; what is read is what was given."""
    given = {
        "data": {"path": Path("a b/c"), "use": "x/y"},
        "encoder.hidden": (4, 5), "training": {"learning_rate": 1e-5, "clip_norm": float("inf"), "threads": 2},
        "view.v.flag": True, "view.v.text": 'é "quoted" \\ 😀 true', "view.v.tables": [{"a b": 1, "c": [1.5]}],
        "view.v.empty": {},
    }  # fmt: skip
    tree = parse_recipe("[data]\nuse = 'old/one'\nold = 1\n", settings=as_settings(given)).tree
    assert tree == {
        "data": {"use": "x/y", "path": "a b/c"},
        "encoder": {"hidden": [4, 5]},
        "training": {"learning_rate": 1e-5, "clip_norm": float("inf"), "threads": 2},
        "view": {"v": {"flag": True, "text": given["view.v.text"], "tables": given["view.v.tables"], "empty": {}}},
    }
    assert as_settings(["a.b=1"]) == ["a.b=1"]
    assert as_settings("a.b=1") == ["a.b=1"]


@pytest.mark.parametrize(
    ("value", "words"), [(None, "None; leave the key out"), (object(), "a object"), ({1, 2}, "a set")]
)
def test_settings_that_a_recipe_cannot_hold(value: Any, words: str) -> None:
    """Named with their key."""
    with pytest.raises(ContrastError, match=f"The setting a.b can't be {words}"):
        as_settings({"a": {"b": value}})
