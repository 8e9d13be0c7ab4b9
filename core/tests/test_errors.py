"""What is suggested for a misspelt name."""

from __future__ import annotations

import pytest

from contrast_core.errors import did_you_mean, nearest

NAMES = [
    "core/infonce",
    "graph/infonce",
    "core/triplet",
    "core/cosine",
    "graph/meow",
    "graph/meow-acm",
    "graph/adameow",
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("infonc", ["core/infonce", "graph/infonce"]),
        ("InfoNCE", ["core/infonce", "graph/infonce"]),
        ("cre/triplet", ["core/triplet"]),
        ("other/cosin", ["core/cosine"]),
        ("zzzz", []),
        ("", []),
    ],
)
def test_the_nearest_names(name: str, expected: list[str]) -> None:
    """By the whole name or the part after the slash, in any case."""
    assert nearest(name, NAMES) == expected


def test_at_most_three_are_named() -> None:
    """Best first."""
    found = nearest("graph/meoww", NAMES)
    assert len(found) == 3
    assert found[0] == "graph/meow"


@pytest.mark.parametrize(
    ("known", "sentence"),
    [([], ""), (["xyz"], ""), (["epochs"], " Did you mean epochs?"),
     (["aepochs", "bepochs", "cepochs", "depochs"], " Did you mean depochs, cepochs or bepochs?")],
)  # fmt: skip
def test_the_sentence(known: list[str], sentence: str) -> None:
    """Nothing, one name, or an enumeration."""
    assert did_you_mean("epochs", known) == sentence
