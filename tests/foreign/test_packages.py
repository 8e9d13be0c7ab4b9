"""Three packages of strangers, beside the core in a clean environment: found, checked, composed, and gone again.

They were written with the documentation alone, in three styles: a flat package of functions and data classes, a wrapper
of other libraries' losses, and a package with a step and a memory of its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

STRANGERS = ("contrast-tabtriplet", "contrast-borrowed", "contrast-sharp")
RECIPE = Path(__file__).with_name("together.toml")


@pytest.fixture(scope="module")
def town(world: Any) -> Iterator[Any]:
    """The world with all three, and what their tests need; afterwards nothing of them is left."""
    world.install_tools("pytest", "pytorch-metric-learning")
    before = world.files()
    world.install(STRANGERS)
    yield world
    world.uninstall(STRANGERS)
    assert world.files() == before
    done = world.contrast("doctor")
    assert done.stdout.endswith("Nothing is wrong.\n"), done.stdout


def test_they_are_found(town: Any) -> None:
    """All usable, without a warning."""
    found = {entry["distribution"]: entry for entry in json.loads(town.contrast("plugins", "--json").stdout)}
    assert set(found) == {"contrast-core", *STRANGERS}
    for name in STRANGERS:
        assert found[name]["usable"]
        assert not found[name]["warnings"]
        assert found[name]["components"]
    assert town.contrast("doctor").returncode == 0


@pytest.mark.parametrize("name", STRANGERS)
def test_they_keep_what_the_kit_checks(town: Any, name: str) -> None:
    """Every check passes, and nothing is without an example."""
    done = town.contrast("check", name, "--json")
    report = json.loads(done.stdout)
    failed = [f"{r['subject']} {r['check']}: {r['reason']}" for r in report["results"] if r["outcome"] == "failed"]
    assert failed == []
    assert done.returncode == 0
    assert report["counts"]["passed"] > 20


@pytest.mark.parametrize("name", STRANGERS)
def test_their_own_tests_pass(town: Any, name: str) -> None:
    """Against the installed wheels, without what the kit has checked above."""
    done = town.suite(name, "-k", "not conformance")
    # pytest ends with 5 where it finds no test.
    assert done.returncode == 0, done.stdout[-3000:]


def test_they_compose_with_each_other(town: Any) -> None:
    """One recipe with parts of all three and of the core trains, evaluates and reports."""
    shutil.copy(RECIPE, town.folder / RECIPE.name)
    done = town.contrast("run", RECIPE.name, "--out", "together")
    assert done.returncode == 0, done.stderr
    lines = (town.folder / "together" / "metrics.jsonl").read_text().splitlines()
    terms = json.loads(lines[-1])["terms"]
    assert {"instances", "cosine", "classes", "triplet"} <= set(terms)
    (score, *_) = json.loads((town.folder / "together" / "evaluation.json").read_text())
    # Ten classes; pixels alone give much more than chance, and so must what was trained on them.
    assert score["mean"] > 0.5
    about = json.loads((town.folder / "together" / "run.json").read_text())
    assert set(STRANGERS) <= set(about["versions"])
    assert (town.folder / "together" / "report.html").is_file()


def test_without_them_the_recipe_says_what_it_lacks(world: Any) -> None:
    """In one sentence, and nothing is written. (It comes last: by then they are uninstalled.)"""
    shutil.copy(RECIPE, world.folder / RECIPE.name)
    done = world.contrast("run", RECIPE.name, "--out", "never", CONTRAST_PLUGINS="core")
    assert done.returncode == 2
    assert "sharp/" in done.stderr or "borrowed/" in done.stderr or "tabtriplet/" in done.stderr
    assert not (world.folder / "never").exists()
