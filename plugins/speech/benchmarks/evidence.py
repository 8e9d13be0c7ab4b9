"""COCONUT against its baselines and ablations on real recordings of digits, class by class.

    python plugins/speech/benchmarks/evidence.py FOLDER_OF_FSDD --seeds 3 --out docs/evidence/coconut-fsdd.md

Each run is a line of the .jsonl file beside the table, written when it ends; what is there is not run again. The seed
draws the weights, the batches, the order of the intents and the memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import contrast_core as contrast

METHODS = {
    "fine-tuning": "fine-tuning",
    "rehearsal (ER)": "rehearsal",
    "ER + audio-KD": "audio-kd",
    "ER + token-KD": "token-kd",
    "ER + seq-KD": "seq-kd",
    "ER + NSPT": "nspt",
    "ER + audio-text": "audio-text",
    "COCONUT": "coconut",
    "COCONUT + seq-KD": "coconut-seq-kd",
    "joint": "joint",
}
"""Recipes by title. The first `--methods` of a call may be fewer."""
SCORES = ("Average accuracy", "Last accuracy", "Forgetting", "Word error rate")
BASELINE = "rehearsal (ER)"


def measure(recipe: str, folder: Path, sizes: list[int], epochs: int, seed: int) -> dict[str, Any]:
    """Train and evaluate once."""
    began = time.process_time()
    settings: dict[str, Any] = {
        "data.format": "fsdd", "data.path": str(folder), "data.epochs": epochs, "data.order_seed": seed,
        "training.seed": seed, "training.diagnose_every": 100000, "training.checkpoint_every": 100000,
    }  # fmt: skip
    if recipe != "joint":
        settings["data.tasks"] = sizes
    with tempfile.TemporaryDirectory() as place:
        run = contrast.run(f"speech/{recipe}", set=settings, out=Path(place) / "run")
        about = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    scores = {score.metric: round(score.mean, 5) for score in run.scores["tasks"]}
    return {"seconds": round(time.process_time() - began, 1), "steps": about["steps"], "scores": scores,
            "data": about["data"].partition(" Tasks:")[0]}  # fmt: skip


def spread(values: list[float]) -> str:
    """Mean and deviation in per cent."""
    if not values:
        return ""
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{deviation}"


def paired(lines: list[dict[str, Any]], baseline: list[dict[str, Any]]) -> str:
    """Differences of the last accuracy from the baseline's of the same seeds: their mean, and each of them."""
    base = {line["seed"]: line["scores"]["Last accuracy"] for line in baseline}
    found = [100 * (line["scores"]["Last accuracy"] - base[line["seed"]]) for line in lines if line["seed"] in base]
    if not found or lines is baseline:
        return ""
    return f"{statistics.mean(found):+.1f} ({', '.join(f'{value:+.1f}' for value in found)})"


def table(found: list[dict[str, Any]], command: str) -> str:
    """One markdown table for each split into tasks."""
    text = [
        f"Made by `{command}`.",
        next((line["data"] for line in found if line["method"] == BASELINE), found[0]["data"]),
    ]
    for sizes in dict.fromkeys(line["tasks"] for line in found):
        inside = [line for line in found if line["tasks"] == sizes]
        head = [f"tasks {sizes}", "seeds", "steps", "CPU s", *SCORES, "last accuracy less ER's"]
        rows = [head, ["---"] * len(head)]
        of = {title: [line for line in inside if line["method"] == title] for title in METHODS}
        for title, lines in of.items():
            if lines:
                cells = [spread([line["scores"][name] for line in lines if name in line["scores"]]) for name in SCORES]
                seeds = ", ".join(str(line["seed"]) for line in lines)
                steps = ", ".join(sorted({str(line["steps"]) for line in lines}))
                seconds = f"{statistics.mean(line['seconds'] for line in lines):.0f}"
                rows.append([title, seeds, steps, seconds, *cells, paired(lines, of[BASELINE])])
        text.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(text) + "\n"


def main() -> None:
    """Run what is not there yet; write the table after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of FSDD")
    parser.add_argument("--tasks", default="4-2-2-2", help="sizes of the tasks")
    parser.add_argument("--methods", default=",".join(METHODS.values()), help="recipes, with commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5, help="of each task")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="write the table of the runs that are there, and run none")
    given = parser.parse_args()
    torch.set_num_threads(1)
    log = given.out.with_suffix(".jsonl")
    log.parent.mkdir(parents=True, exist_ok=True)
    found = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    done = {(line["tasks"], line["method"], line["seed"], line["epochs"]) for line in found}
    wanted = given.methods.split(",")
    sizes = [int(size) for size in given.tasks.split("-")]
    options = f"--methods {given.methods} --tasks {given.tasks} --seeds {given.seeds} --epochs {given.epochs}"
    command = f"python plugins/speech/benchmarks/evidence.py FSDD {options} --out {given.out}"
    for seed in range(given.seeds):
        for title, recipe in METHODS.items():
            key = given.tasks, title, seed, given.epochs
            if recipe in wanted and key not in done and not given.table:
                made = measure(recipe, given.folder, sizes, given.epochs, seed)
                line = {"tasks": given.tasks, "method": title, "seed": seed, "epochs": given.epochs, **made}
                found.append(line)
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(*key, made["seconds"], made["scores"], file=sys.stderr, flush=True)
    given.out.write_text(table(found, command), encoding="utf-8")


if __name__ == "__main__":
    main()
