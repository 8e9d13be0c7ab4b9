"""The pages of the objectives: docstrings are taken apart rightly, and what lacks something is named."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from contrast_core.describe import describe
from contrast_core.registry import discover
from contrast_core.spec import Component

ROOT = Path(__file__).resolve().parent.parent
OBJECTIVES = discover(allowed="core,graph", strict=True).of_kind("objective")

DOCSTRING = """\
How far rows are apart: L = mean_i |a_i - c_i|,
with unit rows. It has a minimum.

    A  one line
      B  a deeper one

L = x + y, z = 1. Where x < y, it is |x|.

Args:
    pairs: the pairs,
        in two lines: here.
    low, high: both ends.

Whatever else there is.

Use: always,
    or never.

Cost: O(n).

Raises:
    ValueError: if it can't be; in use: never.

Papers: arXiv 1
    and 2.

Use: what a base class says.

Args:
    pairs: of the base.
    more: of the base alone.
"""


@pytest.fixture
def making(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules that make the pages."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    from making import docstring, objectives

    yield type("Making", (), {"docstring": docstring, "objectives": objectives})
    for name in [name for name in sys.modules if name.partition(".")[0] == "making"]:
        del sys.modules[name]


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, docstring: str) -> Component:
    """A component with this docstring, and arguments `pairs` and `size`."""
    body = "\n    ".join(docstring.splitlines())
    text = f'class Mine:\n    """{body}\n    """\n    def __init__(self, size: int, pairs: str = "pairs"): ...\n'
    (folder / "paged_objective.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    return Component("objective", "mine/loss", "paged_objective:Mine", "A loss.", "A paper, arXiv 1")


def test_a_docstring_falls_into_its_parts(making: Any) -> None:
    """Equations keep their lines, prose is joined, keywords hold the first time, arguments are gathered."""
    found = making.docstring.parse(DOCSTRING)
    assert [tuple(block) for block in found.lead] == [
        ("How far rows are apart:", False),
        ("L = mean_i |a_i - c_i|,\nwith unit rows.", True),
        ("It has a minimum.", False),
        ("A  one line\n  B  a deeper one", True),
        ("L = x + y, z = 1.", True),
        ("Where x < y, it is |x|.", False),
    ]
    assert [block.text for block in found.notes] == ["Whatever else there is."]
    assert found.arguments == {
        "pairs": "the pairs, in two lines: here.",
        "low": "both ends.",
        "high": "both ends.",
        "more": "of the base alone.",
    }
    assert found.sections == {"Use": "always, or never.", "Cost": "O(n).", "Paper": "arXiv 1 and 2."}
    assert found.raises == {"ValueError": "if it can't be; in use: never."}


def test_prose_that_only_mentions_an_equation_stays_prose(making: Any) -> None:
    """An equals sign inside of a sentence makes no equation of it; a keyword needs its colon."""
    text = "With a queue the value is log(2), as t = 1 there.\n\nUse it: well, or a <= b."
    assert [block.equation for block in making.docstring.parse(text).lead] == [False, False]


def test_what_an_objective_lacks_is_named(making: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each missing paragraph and argument gives a sentence with the objective's name and what to write."""
    component = write(tmp_path, monkeypatch, "L = 0.\n\nArgs:\n    pairs: the pairs.\n\nUse: seldom.\n")
    said = making.objectives.problems(component)
    assert [sentence.startswith("mine/loss ") for sentence in said] == [True] * 4
    assert "'Cost:'" in said[0]
    assert "'Parity:'" in said[1]
    assert "paged_objective, class Mine" in said[1]
    assert "argument 'size'" in said[2]
    assert "pairing.py" in said[3]


def test_a_page_shows_all_parts(making: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is required is in the recipe; a picture is shown where there is one; signs of markup are harmless."""
    text = DOCSTRING.replace("Raises:", "Parity: exact *.\n\nRaises:", 1).replace("low, high:", "size: x | y of\n   ")
    component = write(tmp_path, monkeypatch, text)
    pairings = {"mine/loss": making.objectives.Pairing("", "no", "no", "no", {"size": 3})}
    monkeypatch.setattr(making.objectives, "PAIRINGS", pairings)
    assert making.objectives.problems(component) == []
    page = making.objectives.page(component, tmp_path)
    assert "```text\nL = mean_i |a_i - c_i|,\nwith unit rows.\n```" in page
    assert "| `size` | `int` | required | x \\| y of both ends. |" in page
    assert "Where x &lt; y" in page
    assert "exact \\*." in page.lower()
    assert 'use = "mine/loss"\nsize = 3\n```' in page
    assert "mine-loss.svg" not in page
    (tmp_path / "mine-loss.svg").touch()
    assert "(mine-loss.svg)" in making.objectives.page(component, tmp_path)


@pytest.mark.parametrize("component", OBJECTIVES, ids=lambda component: component.name)
def test_a_recipe_on_a_page_makes_the_objective(making: Any, component: Component) -> None:
    """It is TOML; the sampler is registered, and the objective can be made of what is set."""
    registry = discover(allowed="core,graph")
    pairing = making.objectives.PAIRINGS[component.name]
    recipe = tomllib.loads(making.objectives.fragment(component, describe(component).arguments, pairing))
    for section in recipe.get("sampler", {}).values():
        assert registry.component("sampler", section["use"])
    settings = recipe["objective"]["contrast"]
    assert settings.pop("use") == component.name
    for name, value in settings.items():
        if isinstance(value, dict):
            settings[name] = registry.component("objective", value["use"]).load()()
    assert component.load()(**settings).needs
