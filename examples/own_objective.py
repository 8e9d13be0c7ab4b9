"""An objective of one's own beside the built-in parts: written, registered, and run by a recipe."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from contrast_core import Objective, Outputs, Term, pairwise, run
from contrast_core.registry import Plugin, Registry, discover
from contrast_core.spec import Component, Manifest


class Margin(Objective):
    """L = mean_i relu(m - mean_p s_ip + mean_n s_in), s = cosine: positives on average closer than negatives by m.

    Args:
        pairs: name of the pairs; margin: m, in units of the cosine.
    """

    def __init__(self, pairs: str = "pairs", margin: float = 0.5):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.margin = pairs, margin

    def forward(self, outputs: Outputs) -> Term:
        """The mean over all anchors."""
        pairs = outputs.pairs[self.pairs]
        closer = pairwise.mean(pairs, pairs.positives) - pairwise.mean(pairs, pairs.negatives)
        return Term(torch.relu(self.margin - closer).mean(), rows=len(pairs.anchors))


def main() -> None:
    """Register the class as a plugin would and exchange the objective of a shipped recipe for it."""
    component = Component("objective", "mine/margin", f"{__name__}:Margin", "A margin between mean similarities.")
    mine = Plugin("mine", "example", "0", Manifest(api=1, components=[component]), "", (), 0.0)
    registry = Registry([*discover().plugins, mine])
    settings = ["objective.contrast.use=mine/margin", "objective.contrast.margin=0.8", "training.epochs=5"]
    with tempfile.TemporaryDirectory() as place:
        done = run("core/digits-simclr", set=settings, out=Path(place) / "run", registry=registry)
        for score in next(iter(done.scores.values())):
            print(score.split, score.metric, round(score.mean, 3))


if __name__ == "__main__":
    main()
