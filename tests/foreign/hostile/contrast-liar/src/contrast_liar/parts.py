"""The plugin's views."""

from __future__ import annotations

from typing import final

from contrast_core.interfaces import Flow, View


@final
class Views(View):
    """Lies wherever its source can show it.

    Args:
        size: how many, or so it says.
        margn: how far.
    """

    def __init__(self, source, size: int = "many", margin: float = None, **more):  # noqa: RUF013
        super().__init__()

    def forward(self, flow: Flow) -> Flow:
        """Nothing."""
        return {}


@final
class Fragile(View):
    """Nothing that its source shows is wrong.

    Args:
        size: how many.
    """

    def __init__(self, size: int = 3):
        super().__init__()
        raise RuntimeError(f"no room for {size}\nviews")

    def forward(self, flow: Flow) -> Flow:
        """Nothing."""
        return {}
