"""What the plugin registers; none of it holds."""

from __future__ import annotations

from contrast_core.spec import Component, Manifest


def contrast_manifest() -> Manifest:
    """Three views."""
    return Manifest(
        api=1,
        components=[
            Component("view", "liar/views", "contrast_liar.parts:Views", "Its constructor can't be believed."),
            Component("view", "liar/fragile", "contrast_liar.parts:Fragile", "It looks well and can't be built."),
            Component("view", "liar/lost", "contrast_liar.parts:Lost", "It is not there."),
        ],
    )
