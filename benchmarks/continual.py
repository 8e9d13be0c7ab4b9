"""What rehearsal is worth on digits that come two at a time: stores against none, several seeds.

    python benchmarks/continual.py --seeds 3

Each run is a line of docs/evidence/continual-digits.jsonl, written when it ends; what is there is not run again. The
seed draws the weights, the batches, the order of the digits and what the store draws. The table is made
of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

import contrast_core as contrast

OUT = Path(__file__).resolve().parent.parent / "docs" / "evidence" / "continual-digits.md"
METHODS = {
    "none": {"rehearsal.in_batch": 0},
    "random": {"rehearsal.use": "core/random-rehearsal", "rehearsal.total": 100},
    "reservoir": {"rehearsal.use": "core/reservoir", "rehearsal.total": 100},
    "herding": {},
}
MEASURED = ("neighbours/Accuracy", "exemplars/Accuracy")
SCORES = ("Average", "Last", "Forgetting")


def measure(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train and evaluate once."""
    seeds = {"training.seed": seed, "tasks.seed": seed, "rehearsal.seed": seed}
    quick = {"training.threads": 1, "training.diagnose_every": 100000, "training.checkpoint_every": 100000}
    with tempfile.TemporaryDirectory() as place:
        run = contrast.run("core/digits-continual", set={**settings, **seeds, **quick}, out=Path(place) / "run")
    scores = {f"{score.split} {score.metric}": round(score.mean, 5) for score in run.scores["tasks"]}
    return {"scores": scores}


def spread(values: list[float]) -> str:
    """Mean and deviation in per cent."""
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{deviation}"


def table(found: list[dict[str, Any]], seeds: int) -> str:
    """The markdown table, with the command that makes it."""
    head = ["store", "seeds", *(f"{each} {name}" for each in MEASURED for name in SCORES), "last less none's"]
    rows = [head, ["---"] * len(head)]
    last = f"{MEASURED[0]} Last"
    none = {line["seed"]: line["scores"][last] for line in found if line["store"] == "none"}
    for title in METHODS:
        lines = [line for line in found if line["store"] == title]
        if not lines:
            continue
        cells = [spread([line["scores"][f"{each} {name}"] for line in lines]) for each in MEASURED for name in SCORES]
        apart = [100 * (line["scores"][last] - none[line["seed"]]) for line in lines if line["seed"] in none]
        each = ", ".join(f"{value:+.1f}" for value in apart)
        paired = f"{statistics.mean(apart):+.1f} ({each})" if title != "none" and apart else ""
        numbers = ", ".join(str(line["seed"]) for line in lines)
        rows.append([title, numbers, *cells, paired])
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"Made by `python benchmarks/continual.py --seeds {seeds}`; scores in per cent.\n\n{body}\n"


def main() -> None:
    """Run what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    log = OUT.with_suffix(".jsonl")
    found = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    done = {(line["store"], line["seed"]) for line in found}
    for seed in range(seeds):
        for title, settings in METHODS.items():
            if (title, seed) not in done:
                found.append({"store": title, "seed": seed, **measure(settings, seed)})
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found[-1]) + "\n")
    OUT.write_text(table(found, seeds), encoding="utf-8")


if __name__ == "__main__":
    main()
