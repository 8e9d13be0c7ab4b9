"""What the plugin registers, after a while."""

from __future__ import annotations

import time

from contrast_core.spec import Component, Manifest

print("asking the network")
time.sleep(5)
print("here at last")


def contrast_manifest() -> Manifest:
    """One objective."""
    return Manifest(api=1, components=[Component("objective", "hangs/loss", "contrast_hangs.parts:Loss", "A loss.")])
