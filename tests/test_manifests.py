"""Everything that is registered can be described, loaded, set in a recipe, and composed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from contrast_core.building import INTERFACES
from contrast_core.compose import compose
from contrast_core.describe import describe
from contrast_core.errors import ContrastError
from contrast_core.recipe import Recipe, load_recipe
from contrast_core.registry import discover
from contrast_core.schema import REQUIRED, parameters_of
from contrast_core.spec import KINDS, Component, RecipeFile

REGISTRY = discover(allowed="core,graph", strict=True)
COMPONENTS = list(REGISTRY.components.values())
RECIPES = list(REGISTRY.recipes.values())
NEEDS = re.compile(r"(data|encoder) \([^)]*\).*(?:--set (?:data|encoder)\.path=|needs the key 'path')")


def test_every_kind_has_an_interface() -> None:
    """And no interface has two kinds."""
    assert sorted(INTERFACES.values()) == sorted(KINDS)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: f"{c.kind}:{c.name}")
def test_a_component_keeps_its_promises(component: Component) -> None:
    """Its class loads, is what its kind says, is final, has a docstring and arguments with types."""
    target = component.load()
    interface = next(i for i, kind in INTERFACES.items() if kind == component.kind)
    assert issubclass(target, interface)
    assert not inspect.isabstract(target)
    assert inspect.getdoc(target)
    parameters = parameters_of(target)
    assert component.summary.endswith(".")
    assert "\n" not in component.summary
    # `contrast show` reads the source and must come to the same arguments as the imported class.
    told = describe(component)
    assert told.documentation
    assert {a.name: not a.default for a in told.arguments} == {
        name: parameter.default is REQUIRED for name, parameter in parameters.items()
    }


def _missing(recipe: Recipe) -> str:
    """The section whose path a recipe asks for, or ""."""
    try:
        compose(recipe.stages()[0][1], REGISTRY)
    except ContrastError as error:
        if asked := NEEDS.search(str(error)):
            return asked[1]
        raise
    return ""


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_a_recipe_composes(recipe: RecipeFile, tmp_path: Path) -> None:
    """Under its name; one that is for a data set of its own says which setting it needs, and composes with it."""
    found = load_recipe(recipe.locate())
    assert found.name == recipe.name
    assert all(found.about(key) for key in ("title", "summary", "paper"))
    given: list[str] = []
    while missing := _missing(found):
        assert missing not in given
        given.append(missing)
        found = load_recipe(recipe.locate(), [f"{section}.path={tmp_path}" for section in given])
    for _, stage in found.stages():
        assert compose(stage, REGISTRY).pipeline.objectives
