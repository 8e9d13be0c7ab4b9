"""The default recipe on digits beside an encoder that is not trained.

    python plugins/fewshot/benchmarks/digits.py --out docs/evidence/beclr-digits.md

Rows are kept in a JSON-lines file beside the table, one a run, as they come; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrast_core import runs

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "not trained": {"training.steps": 1, "training.learning_rate": 0.0},
    "plain loss (no memory)": {"sampler.pairs.neighbours": 0},
    "fewshot/beclr": {},
    "temperature 2, as in the paper": {"objective.beclr.temperature": 2.0},
    "learning rate 0.1": {"training.learning_rate": 0.1},
    "learning rate 0.1, temperature 2": {"training.learning_rate": 0.1, "objective.beclr.temperature": 2.0},
}
COMMON = {"training.threads": 1, "training.device": "cpu", "training.tensorboard": "off"}


def measure(name: str, seed: int) -> dict[str, float]:
    """Accuracies of one run by kind of episode."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {**COMMON, **VARIANTS[name], "training.seed": seed}
        run = runs.run("fewshot/beclr", set=settings, out=Path(folder) / "run")
        return {score.split: score.mean for score in run.scores["episodes"]}


def table(lines: Sequence[Mapping[str, Any]], command: str) -> str:
    """Markdown of all rows: mean and deviation over seeds."""
    kinds = list(lines[0]["accuracy"])
    made = [
        f"Made by `{command}`.", "", "Accuracy in %, episodes of the digits 6 to 9; mean and deviation over seeds.", "",
        f"| encoder | seeds | {' | '.join(kinds)} |", "|---" * (2 + len(kinds)) + "|",
    ]  # fmt: skip
    for name in VARIANTS:
        found = [line for line in lines if line["variant"] == name]
        cells = []
        for kind in kinds:
            values = [100 * line["accuracy"][kind] for line in found]
            deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{deviation}" if values else "")
        made.append(f"| {name} | {', '.join(str(line['seed']) for line in found)} | {' | '.join(cells)} |")
    return "\n".join(made) + "\n"


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    kept = given.out.with_suffix(".jsonl")
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    done = {(line["variant"], line["seed"]) for line in lines}
    for seed in range(given.seeds):
        for name in VARIANTS:
            if (name, seed) not in done:
                lines.append({"variant": name, "seed": seed, "accuracy": measure(name, seed)})
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                given.out.write_text(table(lines, f"python plugins/fewshot/benchmarks/digits.py --out {given.out}"))


if __name__ == "__main__":
    main()
