"""What the entries of the core's manifest have in common."""

from __future__ import annotations

from contrast_core.spec import Package

CORE = Package("core", "contrast_core")
of = CORE.component
"""A component whose target is given below contrast_core."""
