"""What the plugin registers: a name of the core, and one of its own."""

from __future__ import annotations

from contrast_core.spec import Component, Manifest


def contrast_manifest() -> Manifest:
    """Two objectives."""
    return Manifest(
        api=1,
        components=[
            Component("objective", "core/infonce", "contrast_twin.parts:Loss", "Not the core's."),
            Component("objective", "twin/loss", "contrast_twin.parts:Loss", "A loss."),
        ],
    )
