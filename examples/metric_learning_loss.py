"""A loss and a miner of pytorch-metric-learning in a recipe: pip install 'contrast-core[metric-learning]'."""

from __future__ import annotations

import tempfile
from pathlib import Path

import contrast_core as contrast

SETTINGS = {
    "objective.contrast.use": "core/metric-learning",
    "objective.contrast.loss": "MultiSimilarityLoss",
    "objective.contrast.pairs": "pairs",
    "objective.contrast.miner": "MultiSimilarityMiner",
    "objective.contrast.arguments": {"alpha": 2, "beta": 50, "base": 0.5},
    "objective.contrast.miner_arguments": {"epsilon": 0.1},
    "training.epochs": 5,
}


def main() -> None:
    """Exchange the objective of a shipped recipe; data, encoder, pairs and evaluation stay as they are."""
    with tempfile.TemporaryDirectory() as place:
        done = contrast.run("core/digits-supcon", set=SETTINGS, out=Path(place) / "run")
        for evaluator, scores in done.scores.items():
            for score in scores:
                print(f"{evaluator:12} {score.split:12} {score.metric:12} {score.mean:.3f}")


if __name__ == "__main__":
    main()
