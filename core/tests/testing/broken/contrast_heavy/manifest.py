"""A manifest that imports numpy."""

from __future__ import annotations

import numpy as np

from contrast_core.spec import Component, Manifest, RecipeFile


def contrast_manifest() -> Manifest:
    """One similarity, and a recipe that calls itself by another name."""
    api = int(np.ones(1)[0])
    component = Component("similarity", "heavy/dot", "contrast_heavy.seeding:Dot", "Inner products.")
    return Manifest(api, [component], [RecipeFile("heavy/one", "contrast_heavy", "one.toml", "One.")])
