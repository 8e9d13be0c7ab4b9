"""SepCLR against its ablations and baselines: digits on garments, or opacities planted in radiographs.

    python plugins/medical/benchmarks/evidence.py make garments.npz digits.gz labels.gz composites.npz
    python plugins/medical/benchmarks/evidence.py run composites.npz rows.jsonl --seeds 3 --epochs 25
    python plugins/medical/benchmarks/evidence.py table rows.jsonl --out docs/evidence/sepclr.md

`make` wants Fashion-MNIST as an .npz file with `images` (n, 28, 28) uint8, `labels` and `split` (0 train, 1 test), and
MNIST's two idx files. `run` appends a line after each method and seed, and leaves out those that are there already.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrast_core import runs
from contrast_core.registry import discover

RECIPE = "medical/sepclr-images"
PLAIN = {"objective.sepclr.beta_null": 0.0, "objective.sepclr.independence": 0.0, "objective.sepclr.anchored": False}
METHODS: dict[str, dict[str, Any]] = {
    "SepCLR (1, 100, 10)": {},
    "without independence": {"objective.sepclr.independence": 0.0},
    "two SimCLR spaces": PLAIN,
    "one space in two halves": {**PLAIN, "encoder.shared": True, "encoder.embedding_size": 256},
    "k-MI instead of k-JEM": {"objective.sepclr.estimator": "mutual-information"},
    "automatic weight, R^2 0.05": {"objective.sepclr.allowed": 0.05},
    "without null": {"objective.sepclr.beta_null": 0.0},
    "paper's composites (1000, 1000, 10)": {"objective.sepclr.beta": 1000.0, "objective.sepclr.beta_null": 1000.0},
}
MEASURES = {
    "digit in C (10)": ("digit, linear", "in common"),
    "garment in C": ("garment, linear", "in common"),
    "digit in S": ("digit, linear", "in salient"),
    "garment in S (10)": ("garment, linear", "in salient"),
    "k-NN: digit in C": ("digit, neighbours", "in common"),
    "k-NN: garment in C": ("garment, neighbours", "in common"),
    "k-NN: digit in S": ("digit, neighbours", "in salient"),
    "k-NN: garment in S": ("garment, neighbours", "in salient"),
    "delta_tot": ("delta_tot", ""),
    "R^2 of C from S": ("R^2", "common from salient"),
    "HSIC": ("HSIC", "common and salient"),
}


def main() -> None:
    """Make the images, run what is missing, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    made = commands.add_parser("make")
    for name in ("garments", "digits", "labels", "out"):
        made.add_argument(name, type=Path)
    made.set_defaults(function=make)
    run = commands.add_parser("run")
    run.add_argument("data")
    run.add_argument("rows", type=Path)
    run.add_argument("--seeds", type=int, default=3)
    run.add_argument("--epochs", type=int, default=25)
    run.set_defaults(function=collect)
    table = commands.add_parser("table")
    table.add_argument("rows", type=Path)
    table.add_argument("--out", type=Path, required=True)
    table.set_defaults(function=write_table)
    given = parser.parse_args()
    given.function(given)


def make(given: argparse.Namespace) -> None:
    """2,500 + 2,500 images to train, 500 + 1,500 of unseen garments and digits to test: half garment, half digit."""
    garments = np.load(given.garments)
    digits = np.frombuffer(gzip.decompress(given.digits.read_bytes())[16:], np.uint8).reshape(-1, 28, 28)
    numbers = np.frombuffer(gzip.decompress(given.labels.read_bytes())[8:], np.uint8)
    generator = np.random.default_rng(0)
    found: dict[str, list[Any]] = {name: [] for name in ("images", "role", "garment", "digit", "part")}
    for part, (background, target) in enumerate(((2500, 2500), (500, 1500))):
        n = background + target
        garment = generator.choice(np.flatnonzero(garments["split"] == part), n)
        digit = generator.integers(*((0, 8000), (8000, 10000))[part], n)
        role = np.arange(n) >= background
        mixed = garments["images"][garment] * 0.5 + digits[digit] * (0.5 * role)[:, None, None]
        found["images"].append(mixed.round().astype(np.uint8))
        found["role"].append(role.astype(int))
        found["garment"].append(garments["labels"][garment])
        found["digit"].append(numbers[digit])
        found["part"].append(np.full(n, ("train", "test")[part]))
    np.savez_compressed(given.out, **{name: np.concatenate(parts) for name, parts in found.items()})


def collect(given: argparse.Namespace) -> None:
    """One line for each method and seed that has none yet."""
    torch.set_num_threads(1)
    registry = discover()
    lines = given.rows.read_text().splitlines() if given.rows.exists() else []
    done = {(row["method"], row["seed"]) for row in map(json.loads, lines)}
    for seed in range(given.seeds):
        for method, settings in METHODS.items():
            if (method, seed) in done:
                continue
            start = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "run"
                changed = {
                    **settings,
                    "data.path": given.data,
                    "data.image": "images",
                    "data.part": "part",
                    "data.common": ["garment"],
                    "data.salient": ["digit"],
                    "training.seed": seed,
                    "training.epochs": given.epochs,
                    "training.threads": 1,
                    "training.device": "cpu",
                    "training.tensorboard": "off",
                }
                result = runs.run(RECIPE, set=changed, out=out, registry=registry)
                metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
            scores = {f"{score.metric}|{score.split}": score.mean for score in result.scores["separation"]}
            ended = metrics[-1]["terms"].get("sepclr/independence", {}).get("weight")
            row = {"method": method, "seed": seed, "epochs": given.epochs, "steps": len(metrics), "scores": scores}
            row |= {"lambda": ended, "cpu": round(time.process_time() - start, 1)}
            with given.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(method, seed, round(scores["delta_tot|"], 1), flush=True)


def write_table(given: argparse.Namespace) -> None:
    """Mean and deviation over seeds of each measure, in percent but for the last two."""
    rows = [json.loads(line) for line in given.rows.read_text().splitlines()]
    seeds, epochs = max(row["seed"] for row in rows) + 1, rows[0]["epochs"]
    script = "python plugins/medical/benchmarks/evidence.py"
    said = [
        f"Made by `{script} run composites.npz rows.jsonl --seeds {seeds} --epochs {epochs}` and "
        "`... table rows.jsonl`.",
        "",
        "In %, mean and deviation over seeds, on targets of unseen garments and digits; in brackets the ideal where "
        "it isn't 100. C is the common, S the salient representation; R^2 and HSIC are from 0 to 1.",
        "",
        "| method | seeds | CPU s | " + " | ".join(MEASURES) + " |",
        "|" + " --- |" * (len(MEASURES) + 3),
    ]
    for method in METHODS:
        own = [row for row in rows if row["method"] == method]
        if not own:
            continue
        cells = [method, str(len(own)), f"{statistics.mean(row['cpu'] for row in own):.0f}"]
        for metric, split in MEASURES.values():
            values = [row["scores"][f"{metric}|{split}"] for row in own]
            scale, places = (100, 1) if metric not in ("delta_tot", "R^2", "HSIC") else (1, 1 if not split else 2)
            cells.append(_cell([scale * value for value in values], places))
        said.append("| " + " | ".join(cells) + " |")
    given.out.write_text("\n".join(said) + "\n")


def _cell(values: list[float], places: int) -> str:
    mean = f"{statistics.mean(values):.{places}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{places}f}"


if __name__ == "__main__":
    main()
