"""What the plugin registers, for api 99."""

from __future__ import annotations

from contrast_core.spec import Component, Manifest


def contrast_manifest() -> Manifest:
    """One objective."""
    return Manifest(api=99, components=[Component("objective", "future/loss", "contrast_future.parts:Loss", "A loss.")])
