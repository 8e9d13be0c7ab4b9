"""What the plugin registers, if its licence server were there."""

from __future__ import annotations

from contrast_core.spec import Component, Manifest

raise RuntimeError("The licence server\ndoes not answer.")


def contrast_manifest() -> Manifest:
    """One objective."""
    return Manifest(api=1, components=[Component("objective", "raises/loss", "contrast_raises.parts:Loss", "A loss.")])
