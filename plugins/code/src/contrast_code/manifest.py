"""What contrast-code registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Component, Manifest, RecipeFile

COCOSODA = "CoCoSoDa: Effective Contrastive Learning for Code Search, ICSE 2023, arXiv 2204.03293"


def _component(kind: str, name: str, target: str, summary: str, paper: str = COCOSODA) -> Component:
    return Component(kind, f"code/{name}", f"contrast_code.{target}", summary, paper)


def _recipe(name: str, summary: str, paper: str = COCOSODA) -> RecipeFile:
    return RecipeFile(f"code/{name}", "contrast_code", f"recipes/{name}.toml", summary, paper)


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(api=API, components=[], recipes=[])
