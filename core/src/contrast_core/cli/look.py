"""Commands that look at what is installed: list, show, plugins, doctor. None of them imports torch."""

from __future__ import annotations

import json
import sys
import tomllib
from argparse import Namespace
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from contrast_core import catalogue
from contrast_core.errors import ContrastError
from contrast_core.registry import Plugin, Registry, discover
from contrast_core.spec import API, KINDS, Component, RecipeFile


def list_(given: Namespace) -> int:
    """contrast list [kind]: names and one line each."""
    registry = discover()
    kinds = (given.kind,) if given.kind else ("recipe", *KINDS)
    for kind in kinds:
        specs: Sequence[Component | RecipeFile]
        specs = [r for _, r in sorted(registry.recipes.items())] if kind == "recipe" else registry.of_kind(kind)
        if specs:
            print(kind)
            _columns([(spec.name, spec.summary) for spec in specs])
    _mention_broken(registry)
    return 0


def show(given: Namespace) -> int:
    """contrast show NAME: everything about one component or recipe."""
    # Not at the top: `list` and `plugins` read no source.
    from contrast_core.describe import describe

    registry = discover()
    spec = registry.anything(given.name)
    owner = registry.owner(spec)
    # Read first: a problem is told alone.
    found = describe(spec) if isinstance(spec, Component) else None
    text = spec.locate().read_text(encoding="utf-8") if isinstance(spec, RecipeFile) else ""
    kind = spec.kind if isinstance(spec, Component) else "recipe"
    print(f"{spec.name}  ({kind}, {owner.distribution} {owner.version})\n{spec.summary}")
    if spec.paper:
        print(f"Paper: {spec.paper}")
    if found is None:
        print(f"\n{text.rstrip()}")
        return 0
    print("\nArguments" if found.arguments else "\nNo arguments.")
    _columns([(a.name, f"{a.annotation}{f' = {a.default}' if a.default else '  (required)'}") for a in found.arguments])
    for title, text in (("Needs", found.needs), ("Gives", found.gives)):
        if text:
            print(f"{title}: {_names(text)}")
    if found.documentation:
        print(f"\n{found.documentation}")
    return 0


def plugins(given: Namespace) -> int:
    """contrast plugins [--json]: what is installed and whether it works."""
    registry = discover()
    if given.json:
        print(json.dumps([_as_entry(plugin) for plugin in registry.plugins], indent=2))
        return 0
    for plugin in registry.plugins:
        state = (
            f"{'broken' if plugin.broken else 'left out'}: {plugin.problem}" if plugin.problem else _contents(plugin)
        )
        print(f"{plugin.name:16} {plugin.distribution} {plugin.version}: {state}")
        for warning in plugin.warnings:
            print(f"{'':16} {warning}")
    return 0


def doctor(given: Namespace) -> int:
    """contrast doctor: problems and their cures; exit code 1 if there is any."""
    registry = discover(again=True)
    print(f"Python {sys.version.split()[0]}, api {API}")
    for name in ("torch", "accelerate", "tensorboard"):
        print(f"{name} {_version(name)}")
    problems = 0
    for plugin in registry.plugins:
        if plugin.broken:
            problems += 1
            print(f"PROBLEM {plugin.name} ({plugin.distribution} {plugin.version}): {plugin.problem}")
            if plugin.cure:
                print(f"        {plugin.cure}")
        elif plugin.problem:
            print(f"absent  {plugin.name} ({plugin.distribution} {plugin.version}): {plugin.problem}")
        else:
            print(f"ok      {plugin.name} ({plugin.distribution} {plugin.version}): {_contents(plugin)}")
        for warning in plugin.warnings:
            problems += 1
            print(f"WARNING {plugin.name}: {warning}")
    specs: list[Component | RecipeFile] = [*registry.components.values(), *registry.recipes.values()]
    for spec in specs:
        if problem := _problem(spec):
            problems += 1
            print(f"PROBLEM {spec.name}: {' '.join(problem.split())}")
    installed = {plugin.distribution for plugin in registry.plugins}
    for entry in catalogue.entries():
        if entry["status"] == "available" and entry["distribution"] not in installed:
            print(f"absent  {entry['domain']}: pip install {entry['distribution']}")
    print(f"{problems} problem{'s' if problems > 1 else ''}." if problems else "Nothing is wrong.")
    return 1 if problems else 0


def _problem(spec: Component | RecipeFile) -> str:
    """What is wrong with a component's source or a recipe's file, or nothing."""
    try:
        if isinstance(spec, Component):
            from contrast_core.signatures import flaws

            return " ".join(flaws(spec))
        # Whole sections are for `run`: importing what checks them costs more than everything here.
        tomllib.loads(spec.locate().read_text(encoding="utf-8"))
    except (ContrastError, OSError, ValueError) as error:
        return str(error)
    return ""


def _as_entry(plugin: Plugin) -> dict[str, object]:
    manifest = plugin.manifest
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "usable": manifest is not None,
        "problem": plugin.problem,
        "cure": plugin.cure,
        "warnings": list(plugin.warnings),
        "seconds": round(plugin.seconds, 4),
        "components": [{"kind": c.kind, "name": c.name} for c in manifest.components] if manifest else [],
        "recipes": [r.name for r in manifest.recipes] if manifest else [],
    }


def _contents(plugin: Plugin) -> str:
    manifest = plugin.manifest
    return f"{len(manifest.components)} components, {len(manifest.recipes)} recipes" if manifest else ""


def _mention_broken(registry: Registry) -> None:
    for plugin in registry.plugins:
        if plugin.broken:
            print(f"contrast: the plugin {plugin.name} is left out: {plugin.problem}", file=sys.stderr)


def _columns(rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        print(f"  {name:{width}}  {text}".rstrip())


def _names(expression: str) -> str:
    """A tuple as it is written in the source, as plain names."""
    return expression.removeprefix("(").removesuffix(")").removesuffix(",").replace("'", "")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"
