"""What the core itself registers; it comes by the same road as every plugin."""

from __future__ import annotations

from contrast_core.manifest.adapters import ADAPTERS
from contrast_core.manifest.objectives import OBJECTIVES
from contrast_core.manifest.parts import PARTS
from contrast_core.manifest.recipes import RECIPES
from contrast_core.spec import API, Manifest


def contrast_manifest() -> Manifest:
    """The core's components and recipes."""
    return Manifest(api=API, components=[*PARTS, *OBJECTIVES, *ADAPTERS], recipes=RECIPES)
