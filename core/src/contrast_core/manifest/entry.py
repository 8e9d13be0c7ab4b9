"""An entry of the core's manifest."""

from __future__ import annotations

from contrast_core.spec import Component


def of(kind: str, name: str, target: str, summary: str, paper: str = "") -> Component:
    """A component whose target is given below contrast_core."""
    return Component(kind, f"core/{name}", f"contrast_core.{target}", summary, paper)
