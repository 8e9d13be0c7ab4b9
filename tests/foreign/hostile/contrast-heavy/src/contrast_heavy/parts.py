"""The plugin's view."""

from __future__ import annotations

from typing import final

from contrast_core.interfaces import Flow, View


@final
class Copies(View):
    """Two copies of the images, as they are: `one` and `two`.

    Args:
        source: the input that is copied.
    """

    gives = ("one", "two")

    def __init__(self, source: str = "image"):
        super().__init__()
        self.source, self.needs = source, (source,)

    def forward(self, flow: Flow) -> Flow:
        """Both names."""
        return dict.fromkeys(self.gives, flow[self.source])
