"""COCONUT against its baselines and ablations on real recordings of digits, class by class.

    python plugins/speech/benchmarks/evidence.py FOLDER_OF_FSDD --out docs/evidence/coconut-fsdd.md

Each run is a line of the .jsonl file beside the table, written when it ends; what is there is not run again. The seed
draws the weights, the batches, the order of the intents and the memory. A second table, beside the first, has the
accuracy after each task.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import contrast_core as contrast

HERDING = {"rehearsal.use": "core/herding", "rehearsal.per_class": 8, "rehearsal.in_batch": 16}
AS_PUBLISHED = {"rehearsal.in_batch": "once", "objective.nspt.growing": True, "objective.nspt.weight": 1.0}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "fine-tuning": ("fine-tuning", {}),
    "LwF": ("lwf", {}),
    "rehearsal (ER)": ("rehearsal", {}),
    "ER with herding": ("rehearsal", HERDING),
    "ER + audio-KD": ("audio-kd", {}),
    "ER + token-KD": ("token-kd", {}),
    "ER + seq-KD": ("seq-kd", {}),
    "ER + logits (DER-like)": ("der-style", {}),
    "ER + NSPT": ("nspt", {}),
    "ER + audio-text": ("audio-text", {}),
    "COCONUT": ("coconut", {}),
    "COCONUT + seq-KD": ("coconut-seq-kd", {}),
    "COCONUT, once an epoch, growing": ("coconut", AS_PUBLISHED),
    "joint": ("joint", {}),
}
"""Recipes, and settings of them, by title."""
SCORES = ("Average accuracy", "Last accuracy", "Forgetting", "Word error rate")
BASELINE = "rehearsal (ER)"
NO_MEMORY = ("joint", "fine-tuning", "lwf")
Lines = list[dict[str, Any]]


def measure(title: str, folder: Path, tasks: str, epochs: int, seed: int) -> dict[str, Any]:
    """Train and evaluate once."""
    began = time.process_time()
    recipe, own = METHODS[title]
    settings: dict[str, Any] = {
        **own, "data.format": "fsdd", "data.path": str(folder), "training.epochs": epochs, "training.seed": seed,
        "training.diagnose_every": 100000, "training.checkpoint_every": 100000,
    }  # fmt: skip
    if recipe != "joint":
        settings |= {"tasks.sizes": [int(size) for size in tasks.split("-")], "tasks.seed": seed}
    if recipe not in NO_MEMORY:
        settings["rehearsal.seed"] = seed
    with tempfile.TemporaryDirectory() as place:
        run = contrast.run(f"speech/{recipe}", set=settings, out=Path(place) / "run")
        about = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
        path = run.folder / "tasks.json"
        after = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    of = {(name, score.metric): round(score.mean, 5) for name, found in run.scores.items() for score in found}
    accuracy = of["decoding", "Intent accuracy"]
    scores = {
        "Average accuracy": of.get(("tasks", "Average"), accuracy), "Last accuracy": accuracy,
        "Word error rate": of["decoding", "Word error rate"],
    }  # fmt: skip
    scores |= {name: of["tasks", name] for name in ("Forgetting", "Backward transfer") if ("tasks", name) in of}
    # A row for each task that had ended: accuracy on each of the tasks so far, then on all of them together.
    matrix = [[round(one["mean"], 5) for one in each] for each in after]
    return {"seconds": round(time.process_time() - began, 1), "steps": about["steps"], "scores": scores,
            "matrix": matrix, "data": about["data"]}  # fmt: skip


def spread(values: Sequence[float]) -> str:
    """Mean and deviation in per cent."""
    if not values:
        return ""
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{deviation}"


def paired(lines: Lines, baseline: Lines) -> str:
    """Differences of the last accuracy from the baseline's of the same seeds: their mean, and each of them."""
    base = {line["seed"]: line["scores"]["Last accuracy"] for line in baseline}
    found = [100 * (line["scores"]["Last accuracy"] - base[line["seed"]]) for line in lines if line["seed"] in base]
    if not found or lines is baseline:
        return ""
    return f"{statistics.mean(found):+.1f} ({', '.join(f'{value:+.1f}' for value in found)})"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table, the first row its head."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:]))


def by_method(found: Lines) -> list[tuple[str, dict[str, Lines]]]:
    """Each split into tasks, and its lines by method and seed."""
    splits = []
    for tasks in sorted({line["tasks"] for line in found} - {"all"}, reverse=True):
        inside = sorted((line for line in found if line["tasks"] in (tasks, "all")), key=lambda line: line["seed"])
        splits.append((tasks, {title: [line for line in inside if line["method"] == title] for title in METHODS}))
    return splits


def course(found: Lines, command: str) -> str:
    """Accuracy on all intents so far after each task, and at the end on each task's own intents: means over seeds."""
    text = [f"Made by `{command}`."]
    for tasks, of in by_method(found):
        count = len(tasks.split("-"))
        numbers = range(1, count + 1)
        rows = [[f"tasks {tasks}", *(f"all, after {n}" for n in numbers), *(f"task {n}, at the end" for n in numbers)]]
        for title, lines in of.items():
            if lines and lines[0]["matrix"]:
                seen = [[line["matrix"][n][-1] for line in lines] for n in range(count)]
                last = [[line["matrix"][-1][n] for line in lines] for n in range(count)]
                rows.append([title, *(f"{100 * statistics.mean(values):.0f}" for values in (*seen, *last))])
        text.append(markdown(rows))
    return "\n\n".join(text) + "\n"


def table(found: Lines, command: str) -> str:
    """A markdown table for each split into tasks."""
    text = [f"Made by `{command}`.", found[0]["data"]]
    for tasks, of in by_method(found):
        rows = [[f"tasks {tasks}", "seeds", "steps", "CPU s", *SCORES, "last accuracy less ER's"]]
        for title, lines in of.items():
            if lines:
                cells = [spread([line["scores"][name] for line in lines if name in line["scores"]]) for name in SCORES]
                seeds = ", ".join(str(line["seed"]) for line in lines)
                steps = ", ".join(sorted({str(line["steps"]) for line in lines}))
                seconds = f"{statistics.mean(line['seconds'] for line in lines):.0f}"
                rows.append([title, seeds, steps, seconds, *cells, paired(lines, of[BASELINE])])
        text.append(markdown(rows))
    return "\n\n".join(text) + "\n"


def main() -> None:
    """Run what is not there yet; write the table after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of FSDD")
    parser.add_argument("--tasks", nargs="+", default=["4-2-2-2", "2-2-2-2-2"], help="sizes of the tasks")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="TITLE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4, help="of each task")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="write the table of the runs that are there, and run none")
    given = parser.parse_args()
    torch.set_num_threads(1)
    log = given.out.with_suffix(".jsonl")
    log.parent.mkdir(parents=True, exist_ok=True)
    found = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    done = {(line["tasks"], line["method"], line["seed"], line["epochs"]) for line in found}
    wanted = [(seed, tasks, title) for seed in range(given.seeds) for tasks in given.tasks for title in given.methods]
    for seed, tasks, title in () if given.table else wanted:
        # Joint training has no tasks; it stands in each table.
        key = "all" if title == "joint" else tasks, title, seed, given.epochs
        if key in done:
            continue
        done.add(key)
        made = measure(title, given.folder, tasks, given.epochs, seed)
        found.append({"tasks": key[0], "method": title, "seed": seed, "epochs": given.epochs, **made})
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found[-1]) + "\n")
        print(*key, made["seconds"], made["scores"], file=sys.stderr, flush=True)
    command = f"python plugins/speech/benchmarks/evidence.py FSDD --epochs {given.epochs} --out {given.out}"
    given.out.write_text(table(found, command), encoding="utf-8")
    given.out.with_name(f"{given.out.stem}-course.md").write_text(course(found, command), encoding="utf-8")


if __name__ == "__main__":
    main()
