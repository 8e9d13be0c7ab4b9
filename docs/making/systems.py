"""The published systems of all first-party plugins, with what is registered of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from contrast_core.registry import Registry
from contrast_core.spec import Component, RecipeFile

INTRODUCTION = """\
# Systems

The published methods of the first-party plugins, made from `registry.toml` and from what the plugins register. A recipe
is run by `contrast run NAME`; where there is none, the parts are those of [the catalogue](catalogue.md). "planned" is
not written yet.
"""
KNOWN_AS: Mapping[str, tuple[str, str]] = {
    "NT-Xent": ("core/infonce", "SimCLR, ICML 2020, arXiv 2002.05709"),
    "CLIP": ("core/infonce", "CLIP, ICML 2021, arXiv 2103.00020"),
    "MoCo": ("core/queue-pairs", ""),
    "MNRL": ("core/multiple-negatives-ranking", ""),
    "RnC": ("core/rank-n-contrast", ""),
    "SigLIP": ("core/sigmoid", ""),
}
"""Systems whose part has another name, and their paper where it is not that of the part."""


def page(entries: list[dict[str, Any]], registry: Registry) -> str:
    """A section for each plugin: its systems, their recipes, parts and papers."""
    lines = [INTRODUCTION]
    for entry in entries:
        summary = entry["summary"]
        lines += [f"## {entry['distribution']}", "", f"{summary[:1].upper()}{summary[1:]}: {entry['status']}."]
        lines += [f"Data: {entry['data']}."] if entry.get("data") else []
        lines += ["", "| system | recipes | parts | paper |", "|---|---|---|---|"]
        for system in entry["systems"]:
            recipes = [r for r in registry.recipes.values() if _of(r.name, entry["domain"], system)]
            parts = list(_parts(registry, entry["domain"], system))
            known = [KNOWN_AS.get(system, ("", ""))[1], *(spec.paper for spec in [*parts, *recipes])]
            paper = next(filter(None, known), entry.get("paper", ""))
            lines.append(f"| {system} | {_listed(recipes)} | {_listed(parts)} | {paper} |".replace("  ", " "))
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _parts(registry: Registry, domain: str, system: str) -> Iterator[Component]:
    found = {each.name: each for each in registry.components.values()}
    exact = KNOWN_AS.get(system, (f"{domain}/{_slug(system)}", ""))[0]
    if exact in found or system in KNOWN_AS:
        yield found[exact]
        return
    yield from sorted((c for name, c in found.items() if _of(name, domain, system)), key=lambda c: c.name)


def _slug(system: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", system.lower()).strip("-")


def _of(name: str, domain: str, system: str) -> bool:
    """Whether a registered name is that of a system: its words stand in it, one after the other."""
    return name.startswith(f"{domain}/") and f"-{_slug(system)}-" in f"-{name.partition('/')[2]}-"


def _listed(specs: list[Component] | list[RecipeFile]) -> str:
    names = sorted({spec.name for spec in specs})
    return ", ".join(f"`{name}`" for name in names)
