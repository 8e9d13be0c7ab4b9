"""What the plugin registers, with an import that a manifest should not have."""

from __future__ import annotations

import torch

from contrast_core.spec import Component, Manifest

VERSION = torch.__version__


def contrast_manifest() -> Manifest:
    """One view."""
    return Manifest(
        api=1, components=[Component("view", "heavy/copies", "contrast_heavy.parts:Copies", f"For torch {VERSION}.")]
    )
