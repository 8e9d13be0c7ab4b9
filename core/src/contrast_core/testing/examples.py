"""Examples: where a component can be seen at work. A recipe of its plugin, a line in checks.toml, or a scene.

A plugin may have a file `checks.toml` beside its manifest:

    [[example]]                         # a component that no recipe uses, or to be looked at here instead of there
    component = "objective:mine/margin"
    scene = "labels"                    # one of contrast_core.testing.scenes.SCENES; or recipe = "mine/tabular"
    settings = ["objective.contrast.margin=0.3"]

    [[expected]]                        # a check that is known to fail, and why that is all right
    component = "objective:mine/margin"
    check = "order-of-rows"
    reason = "Rows are compared with their neighbours in the batch."
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from contrast_core.compose import compose
from contrast_core.errors import ContrastError
from contrast_core.recipe import Recipe, load_recipe
from contrast_core.registry import Plugin, Registry
from contrast_core.schema import check, fields_of
from contrast_core.spec import Component
from contrast_core.testing.scenes import PLACES, scene, scenes

if TYPE_CHECKING:
    from contrast_core.testing.session import Session

FILE = "checks.toml"


@frozen(eq=False)
class Example:
    """A component in a recipe.

    Args:
        component: what is looked at.
        recipe: one stage of a recipe that uses it, and that composes.
        path: the component's section there, "objective.contrast".
        origin: for people, "recipe mine/tabular".
    """

    component: Component
    recipe: Recipe
    path: str
    origin: str


@frozen
class Declared:
    """An [[example]] of checks.toml."""

    component: str
    scene: str | None = None
    recipe: str | None = None
    settings: Sequence[str] = ()


@frozen
class Expected:
    """An [[expected]] failure of checks.toml."""

    component: str
    check: str
    reason: str


@frozen
class Declarations:
    """What a plugin's checks.toml says."""

    examples: Sequence[Declared] = field(factory=tuple)
    expected: Sequence[Expected] = field(factory=tuple)

    def reason(self, component: str, check: str) -> str:
        """Why a check may fail, or ""."""
        found = (e.reason for e in self.expected if e.check == check and e.component == component)
        return next(found, "")


def declarations(folder: Path) -> Declarations:
    """Read checks.toml in a folder, if there is one.

    Raises:
        ContrastError: if it is no valid TOML or says something else; the sentence names the entry.
    """
    path = folder / FILE
    if not path.is_file():
        return Declarations()
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ContrastError(f"{path} is no valid TOML: {error}.") from error
    found: dict[str, list[Any]] = {"example": [], "expected": []}
    for key, entries in tree.items():
        if key not in found or not isinstance(entries, list):
            raise ContrastError(f"{path}: it holds entries [[example]] and [[expected]], not '{key}'.")
        kind = Declared if key == "example" else Expected
        for number, entry in enumerate(entries, 1):
            what = f"[[{key}]] number {number}"
            options = check(fields_of(kind), entry, what, lambda _: str(path))
            made = kind(**options)
            if isinstance(made, Expected) and not made.reason.strip():
                raise ContrastError(f"{path}: {what} needs a reason.")
            if isinstance(made, Declared) and (made.scene is None) == (made.recipe is None):
                raise ContrastError(f"{path}: {what} names either a scene or a recipe.")
            found[key].append(made)
    return Declarations(tuple(found["example"]), tuple(found["expected"]))


def examples_of(component: Component, session: Session) -> list[Example] | str:
    """Examples of a component: those that are declared, else one of a recipe, else one of a scene.

    If there is none, the sentence that says why.
    """
    label = f"{component.kind}:{component.name}"
    asked = [each for each in session.declared.examples if each.component == label]
    try:
        if asked:
            return [_declared(component, each, session.registry) for each in asked]
    except ContrastError as error:
        return f"Its example in {FILE} can't be used: {error}"
    found = session.in_recipes.get(component)
    return [found] if found is not None else _in_scenes(component, session, session.unusable)


def check_names(declared: Declarations, plugin: Plugin) -> None:
    """Raise ContrastError if checks.toml speaks of a component that the plugin does not register."""
    assert plugin.manifest is not None
    known = {f"{component.kind}:{component.name}" for component in plugin.manifest.components}
    known |= {f"recipe:{recipe.name}" for recipe in plugin.manifest.recipes} | {plugin.label}
    spoken = [each.component for each in declared.examples] + [each.component for each in declared.expected]
    for name in spoken:
        if name not in known:
            raise ContrastError(f"{FILE} speaks of '{name}', which {plugin.label} does not register.")


def _declared(component: Component, each: Declared, registry: Registry) -> Example:
    if each.scene is not None:
        return _placed(component, scene(each.scene, component, each.settings), f"scene {each.scene}", registry)
    assert each.recipe is not None
    recipe = load_recipe(registry.recipe(each.recipe).locate(), list(each.settings))
    return _placed(component, recipe, f"recipe {each.recipe}", registry)


def _placed(component: Component, recipe: Recipe, origin: str, registry: Registry) -> Example:
    for _, stage in recipe.stages():
        for path, built in compose(stage, registry).parts.items():
            if built.component == component:
                return Example(component, stage, path, origin)
    raise ContrastError(f"no part of the {origin} is {component.name}.")


def in_recipes(plugin: Plugin, registry: Registry, unusable: dict[str, str]) -> dict[Component, Example]:
    """The first recipe that uses each component; why others can't be used goes to `unusable`."""
    assert plugin.manifest is not None
    found: dict[Component, Example] = {}
    for spec in plugin.manifest.recipes:
        try:
            stages = load_recipe(spec.locate()).stages()
            composed = [(stage, compose(stage, registry).parts) for _, stage in stages]
        except ContrastError as error:
            unusable[spec.name] = str(error)
            continue
        for stage, parts in composed:
            for path, built in parts.items():
                # An objective inside of another one sees what that makes of the pairs; it is looked at by itself.
                if built.component.kind == "objective" and path.count(".") > 1:
                    continue
                found.setdefault(built.component, Example(built.component, stage, path, f"recipe {spec.name}"))
    return found


def _in_scenes(component: Component, session: Session, unusable: Mapping[str, str]) -> list[Example] | str:
    """The first scene whose parts fit a component with its default options."""
    told = "".join(f" The recipe {name} can't be used here: {why}" for name, why in unusable.items())
    none = f"No recipe of the plugin that can be used here has it.{told}"
    if component.kind not in PLACES or component.kind == "data":
        return f"{none} To look at it, add one, or an [[example]] to {FILE}."
    said = ""
    for name, recipe in scenes(component):
        try:
            example = _placed(component, recipe, f"scene {name}", session.registry)
        except ContrastError as error:
            said = said or str(error)
            continue
        if (refusal := _refusal(example, session)) is None:
            return [example]
        said = refusal
    return f"{none} In the kit's scenes it does not work: {said} To look at it, add an [[example]] to {FILE}."


def _refusal(example: Example, session: Session) -> str | None:
    """Why a part can't work in a scene, as it says itself; None if it works, or fails in another way."""
    from contrast_core.testing.bench import Bench

    try:
        Bench(example, session).outputs_and_terms()
    except (ContrastError, ValueError) as error:
        return str(error)
    except Exception:
        return None
    return None


def folder_of(component: Component) -> Path | None:
    """The folder of the top-level package that a component comes from, found without importing it."""
    from importlib.util import find_spec

    spec = find_spec(component.target.partition(":")[0].partition(".")[0])
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


__all__ = ["Declarations", "Declared", "Example", "Expected", "declarations", "examples_of"]
