"""SepCLR against its baselines and without each of its terms, on digits with planted marks: a row a run.

python plugins/medical/benchmarks/evidence.py rows.jsonl --seeds 3 --epochs 100
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from contrast_core import runs

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "SepCLR": ("sepclr", {}),
    "without joint entropy": ("sepclr", {"objective.sepclr.independence_weight": 0.0}),
    "two SimCLR spaces": ("two-simclr", {}),
    "one SimCLR space, split": ("one-simclr", {}),
    "lambda automatic": ("sepclr-automatic", {}),
    "k-MI": ("sepclr", {"objective.sepclr.independence.use": "medical/mutual-information"}),
    "without nullity": ("sepclr", {"objective.sepclr.background_weight": 0.0}),
    "without uniformity": ("sepclr", {"objective.sepclr.uniformity_weight": 0.0}),
    "without target terms": ("sepclr", {"objective.sepclr.target_weight": 0.0}),
    "weights 1000, 1000, 10": (
        "sepclr", {"objective.sepclr.target_weight": 1000.0, "objective.sepclr.background_weight": 1000.0},
    ),
}  # fmt: skip


def main() -> None:
    """Run what the file does not hold yet, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    given = parser.parse_args()
    have = [json.loads(line) for line in given.rows.read_text().splitlines()] if given.rows.exists() else []
    done = {(row["setting"], row["seed"], row["epochs"]) for row in have}
    for seed in range(given.seeds):
        for setting, (recipe, changes) in SETTINGS.items():
            if (setting, seed, given.epochs) in done:
                continue
            start = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                changed = {
                    **changes, "training.epochs": given.epochs, "training.seed": seed, "training.device": "cpu",
                    "training.threads": 1, "data.seed": seed, "data.split_seed": seed,
                }  # fmt: skip
                run = runs.run(f"medical/{recipe}", set=changed, out=Path(folder) / "run")
            scores = {score.metric: score.mean for score in run.scores["separation"]}
            row = {"setting": setting, "seed": seed, "epochs": given.epochs, "seconds": time.process_time() - start}
            with given.rows.open("a") as file:
                file.write(json.dumps({**row, "scores": scores}) + "\n")


if __name__ == "__main__":
    main()
