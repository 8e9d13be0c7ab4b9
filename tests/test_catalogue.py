"""registry.toml says exactly what the plugins of this repository register."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contrast_core import catalogue
from contrast_core.registry import Registry, discover

ROOT = Path(__file__).resolve().parent.parent
ENTRIES = catalogue.entries()
AVAILABLE = [entry for entry in ENTRIES if entry["status"] == "available"]


@cache
def registry() -> Registry:
    """The plugins of this repository, whatever else is installed here."""
    return discover(allowed=",".join(entry["domain"] for entry in AVAILABLE), strict=True)


def test_there_is_one_file() -> None:
    """The file in the root is the one in the package."""
    assert (ROOT / "registry.toml").resolve() == ROOT / "core/src/contrast_core/registry.toml"
    assert tuple(tomllib.loads((ROOT / "registry.toml").read_text(encoding="utf-8"))["plugin"]) == ENTRIES


def test_what_is_available_is_a_plugin_of_this_repository_and_the_other_way_round() -> None:
    """By the names of distributions, and by the folders."""
    found = {plugin.distribution for plugin in registry().plugins if plugin.manifest}
    assert {entry["distribution"] for entry in AVAILABLE} == found
    projects = [ROOT / "core/pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
    assert {tomllib.loads(p.read_text(encoding="utf-8"))["project"]["name"] for p in projects} == found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["domain"]))
def test_an_entry_is_complete_and_consistent(entry: dict[str, Any]) -> None:
    """Names follow from the domain; nothing is misspelt."""
    required = {"distribution", "module", "domain", "status", "summary", "systems"}
    assert required <= set(entry) <= required | {"paper", "data"}
    assert entry["status"] in ("available", "planned")
    assert entry["distribution"] == f"contrast-{entry['domain']}"
    assert entry["module"] == f"contrast_{entry['domain']}"
    assert entry["systems"]
    assert catalogue.provider_of(f"{entry['domain']}/anything") == entry
    assert all(catalogue.provider_of(system.upper()) == entry for system in entry["systems"])


@pytest.mark.parametrize("entry", AVAILABLE, ids=lambda entry: str(entry["domain"]))
def test_an_available_plugin_registers_under_its_domain(entry: dict[str, Any]) -> None:
    """Its entry point, the names of its components and recipes, and the module they come from."""
    plugin = next(plugin for plugin in registry().plugins if plugin.distribution == entry["distribution"])
    assert plugin.manifest
    assert plugin.name == entry["domain"]
    specs = [*plugin.manifest.components, *plugin.manifest.recipes]
    assert {spec.name.partition("/")[0] for spec in specs} == {entry["domain"]}
    assert {component.target.partition(".")[0] for component in plugin.manifest.components} == {entry["module"]}
    assert {recipe.package for recipe in plugin.manifest.recipes} <= {entry["module"]}


@pytest.mark.parametrize("system", ["MEOW", "AdaMEOW"])
def test_a_published_system_of_a_plugin_is_a_recipe(system: str) -> None:
    """Under its own name in lower case."""
    assert registry().recipe(f"graph/{system.lower()}").paper


def test_names_and_systems_are_unique() -> None:
    """No two plugins claim a distribution, a domain or a system."""
    for key in ("distribution", "module", "domain"):
        values = [entry[key] for entry in ENTRIES]
        assert len(set(values)) == len(values)
    systems = [system.lower() for entry in ENTRIES for system in entry["systems"]]
    assert len(set(systems)) == len(systems)
