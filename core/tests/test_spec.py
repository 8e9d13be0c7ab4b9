"""Specs refuse what could not work, when they are made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from contrast_core.errors import ContrastError
from contrast_core.spec import KINDS, Component, Manifest, RecipeFile


def component(**changes: str) -> Component:
    """A good one, changed."""
    given = {"kind": "objective", "name": "mine/triplet", "target": "mine.parts:Triplet", "summary": "Three rows."}
    return Component(**{**given, **changes})


@pytest.mark.parametrize(
    "name", ["triplet", "Mine/triplet", "mine/", "/x", "a/b/c", "mine/tri plet", "mine/-x", "a/b\n"]
)
def test_a_name_reads_domain_slash_name(name: str) -> None:
    """Anything else is refused, for components and recipes."""
    with pytest.raises(ValueError, match="must read 'domain/some-name', in lower case"):
        component(name=name)
    with pytest.raises(ValueError, match="must read 'domain/some-name'"):
        RecipeFile(name, "mine", "a.toml", "A recipe.")


@pytest.mark.parametrize("target", ["mine.parts", "mine.parts:", ":Triplet", "mine/parts:Triplet", "mine:a.b", "1m:X"])
def test_a_target_reads_module_colon_class(target: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match=r"must read 'package.module:Class'"):
        component(target=target)


def test_an_unknown_kind_is_refused_with_the_kinds() -> None:
    """The message lists what there is."""
    with pytest.raises(ValueError, match=r"'loss' is no kind of component; the kinds are data, .*similarity"):
        component(kind="loss")
    assert [component(kind=kind).kind for kind in KINDS] == list(KINDS)


def test_loading_imports_the_class_and_names_a_missing_one() -> None:
    """The module is imported by `load` alone."""
    assert component(target="fractions:Fraction").load().__name__ == "Fraction"
    with pytest.raises(ContrastError, match="fractions has no 'Fractoin', which mine/triplet names as its class"):
        component(target="fractions:Fractoin").load()
    with pytest.raises(ModuleNotFoundError):
        component(target="no_such_module_at_all:X").load()


def test_an_attribute_error_within_the_module_is_not_taken_for_a_missing_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes through as it is."""
    (tmp_path / "spec_broken_module.py").write_text("import sys\nsys.no_such_thing\nclass X: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AttributeError, match="no_such_thing"):
        component(target="spec_broken_module:X").load()


def test_a_recipe_file_is_found_without_importing_submodules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a package that would fail to import."""
    package = tmp_path / "spec_unimportable"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError\n")
    (package / "a.toml").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert RecipeFile("mine/a", package.name, "a.toml", "").locate() == package / "a.toml"
    assert package.name not in sys.modules
    with pytest.raises(ContrastError, match=r"mine/b is missing: spec_unimportable has no file b.toml"):
        RecipeFile("mine/b", package.name, "b.toml", "").locate()
    with pytest.raises(ContrastError, match="package no_such_package of the recipe mine/b can't be found"):
        RecipeFile("mine/b", "no_such_package", "b.toml", "").locate()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"api": "1"}, "api of a manifest is a whole number"),
        ({"api": 1, "components": ["mine/x"]}, "components of a manifest are Components, not 'mine/x'"),
        ({"api": 1, "recipes": [component()]}, "recipes of a manifest are RecipeFiles, not Component"),
    ],
)
def test_a_manifest_refuses_what_is_no_spec(given: dict[str, Any], words: str) -> None:
    """With the first wrong entry."""
    with pytest.raises(ValueError, match=words):
        Manifest(**given)


def test_a_manifest_keeps_what_a_generator_gives() -> None:
    """Specs may be read more than once."""
    manifest = Manifest(1, (component() for _ in range(1)))  # type: ignore[arg-type]
    assert list(manifest.components) == list(manifest.components) == [component()]
