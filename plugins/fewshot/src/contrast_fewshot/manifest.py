"""What contrast-fewshot registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Component, Manifest, RecipeFile


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(api=API, components=[], recipes=[])
