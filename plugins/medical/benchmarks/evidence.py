"""SepCLR against its baselines, with other estimators and without each of its terms.

    python plugins/medical/benchmarks/evidence.py digits mnist-images.gz mnist-labels.gz digits.npz
    python plugins/medical/benchmarks/evidence.py radiographs pneumoniamnist.npz radiographs.npz
    python plugins/medical/benchmarks/evidence.py run garments rows.jsonl --files garments.npz digits.npz
    python plugins/medical/benchmarks/evidence.py run radiographs rows.jsonl --files radiographs.npz
    python plugins/medical/benchmarks/evidence.py table rows.jsonl --out docs/evidence/sepclr-garments.md

`digits` turns MNIST's two files into one, `radiographs` puts the three parts of PneumoniaMNIST together; garments are
Fashion-MNIST with `images` and `labels`. `run` appends a line after each method and seed, and leaves out those that
are there already.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrast_core import runs
from contrast_core.registry import discover

LOSS, TERM = "objective.sepclr", "objective.sepclr.independence.use"
SEPCLR = "medical/sepclr"
METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "SepCLR (1, 100, 10)": (SEPCLR, {}),
    "two SimCLR spaces": ("medical/two-simclr", {}),
    "one SimCLR space, split": ("medical/one-simclr", {}),
    "without independence": (SEPCLR, {f"{LOSS}.independence_weight": 0.0}),
    "without nullity": (SEPCLR, {f"{LOSS}.background_weight": 0.0}),
    "without target terms": (SEPCLR, {f"{LOSS}.target_weight": 0.0}),
    "without uniformities": (SEPCLR, {f"{LOSS}.uniformity_weight": 0.0}),
    "k-MI": (SEPCLR, {TERM: "medical/mutual-information"}),
    "vCLUB": (SEPCLR, {TERM: "medical/vclub"}),
    "vUB": (SEPCLR, {TERM: "medical/vub"}),
    "vL1out": (SEPCLR, {TERM: "medical/vl1out"}),
    "TC": (SEPCLR, {TERM: "medical/density-ratio"}),
    "MMD": (SEPCLR, {TERM: "medical/mean-discrepancy"}),
    "weight chosen, R^2 0.1": (SEPCLR, {f"{LOSS}.cross_prediction": 0.1}),
    "SepCLR (1000, 1000, 10)": (SEPCLR, {f"{LOSS}.target_weight": 1000.0, f"{LOSS}.background_weight": 1000.0}),
}
# The paper's representation and heads behind a small network; the one space has as many numbers as both.
SPACE = {"widths": [16, 32, 64], "embedding_size": 32, "hidden": 128, "batch_norm": True}
DATA: Mapping[str, Mapping[str, Any]] = {
    "garments": {
        "data.use": "medical/composites", "data.photo": "garment", "data.overlay": "digit",
        "data.train_counts": [2500, 2500], "data.test_counts": [500, 1500],
    },
    "radiographs": {"data.use": "medical/planted", "data.label": "pneumonia"},
}  # fmt: skip
FILES = {"garments": ("data.photos", "data.overlays"), "radiographs": ("data.path",)}


def main() -> None:
    """Prepare files, run what is missing, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    made = commands.add_parser("digits")
    for name in ("images", "labels", "out"):
        made.add_argument(name, type=Path)
    made.set_defaults(function=convert_digits)
    joined = commands.add_parser("radiographs")
    for name in ("parts", "out"):
        joined.add_argument(name, type=Path)
    joined.set_defaults(function=join_radiographs)
    run = commands.add_parser("run")
    run.add_argument("data", choices=DATA)
    run.add_argument("rows", type=Path)
    run.add_argument("--files", nargs="+", required=True)
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    run.add_argument("--epochs", type=int, default=40)
    run.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    run.set_defaults(function=collect)
    table = commands.add_parser("table")
    table.add_argument("rows", type=Path)
    table.add_argument("--out", type=Path, required=True)
    table.set_defaults(function=lambda given: write_table(given.rows, given.out))
    given = parser.parse_args()
    given.function(given)


def convert_digits(given: argparse.Namespace) -> None:
    """MNIST's files of images and labels as one .npz file."""
    images = np.frombuffer(gzip.decompress(given.images.read_bytes())[16:], np.uint8).reshape(-1, 28, 28)
    labels = np.frombuffer(gzip.decompress(given.labels.read_bytes())[8:], np.uint8)
    np.savez_compressed(given.out, images=images, labels=labels)


def join_radiographs(given: argparse.Namespace) -> None:
    """All parts of PneumoniaMNIST in one .npz file."""
    found = np.load(given.parts)
    images, labels = (
        np.concatenate([found[f"{part}_{kind}"] for part in ("train", "val", "test")]) for kind in ("images", "labels")
    )
    np.savez_compressed(given.out, images=images, pneumonia=labels.flatten())


def collect(given: argparse.Namespace) -> None:
    """One line for each method and seed that has none yet."""
    torch.set_num_threads(1)
    registry = discover()
    lines = given.rows.read_text().splitlines() if given.rows.exists() else []
    done = {(row["method"], row["seed"]) for row in map(json.loads, lines)}
    for seed in given.seeds:
        for method in given.methods:
            if (method, seed) in done:
                continue
            start = time.process_time()
            recipe, own = METHODS[method]
            settings = {
                **own, **DATA[given.data], **dict(zip(FILES[given.data], given.files, strict=True)),
                **encoders(recipe),
                "data.seed": seed, "data.split_seed": seed, "evaluation.separation.hidden": 64, "training.seed": seed,
                "training.epochs": given.epochs, "training.learning_rate": 1e-3, "training.threads": 1,
                "training.device": "cpu", "training.tensorboard": "off",
            }  # fmt: skip
            with tempfile.TemporaryDirectory() as folder:
                run = runs.run(recipe, set=settings, out=Path(folder) / "run", registry=registry)
                metrics = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
            scores = {score.metric: round(score.mean, 4) for score in run.scores["separation"]}
            row = {"data": given.data, "method": method, "seed": seed, "epochs": given.epochs, "steps": len(metrics)}
            row |= {"cpu": round(time.process_time() - start, 1), "scores": scores}
            with given.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(method, seed, scores["delta"], flush=True)


def encoders(recipe: str) -> dict[str, Any]:
    """The settings of the recipe's encoders."""
    if recipe == "medical/one-simclr":
        return {f"encoder.{name}": value for name, value in {**SPACE, "embedding_size": 64}.items()}
    return {f"encoder.{space}.{name}": value for space in ("common", "salient") for name, value in SPACE.items()}


def write_table(rows: Path, out: Path) -> None:
    """Means and deviations over seeds: linear probes and delta_tot, then what is left of the one in the other."""
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    cells = [name.removesuffix(", k-NN") for name in lines[0]["scores"] if name.endswith(", k-NN")]
    leaks = ["R^2 common from salient", "R^2 salient from common", "HSIC"]
    data, epochs = lines[0]["data"], lines[0]["epochs"]
    command = f"python plugins/medical/benchmarks/evidence.py run {data} rows.jsonl --epochs {epochs}"
    said = [
        f"Made by `{command}` (with the files) and `... table rows.jsonl --out {out}`.", "",
        "Balanced accuracy of linear probes on unseen target images, in %, mean and deviation over seeds.", "",
        *_rows(lines, ["seeds", "steps", "CPU s"], [*cells, "delta"]), "",
        "The same by probes that need no linear trace: 15 nearest neighbours, and an MLP of 64 units.", "",
        *_rows(lines, [], [f"{cell}, {kind}" for cell in cells for kind in ("k-NN", "MLP")]), "",
        "What one space tells of the other, in %, and background against target.", "",
        *_rows(lines, [], [*leaks, "target in common", "target in salient"]),
    ]  # fmt: skip
    out.write_text("\n".join(said) + "\n")


def _rows(lines: Sequence[Mapping[str, Any]], facts: Sequence[str], metrics: Sequence[str]) -> list[str]:
    titles = ["delta_tot" if metric == "delta" else metric for metric in metrics]
    made = ["| " + " | ".join(["method", *facts, *titles]) + " |", "|" + " --- |" * (1 + len(facts) + len(metrics))]
    for method in METHODS:
        own = [line for line in lines if line["method"] == method]
        if not own:
            continue
        known = {
            "seeds": ", ".join(str(line["seed"]) for line in own),
            "steps": str(own[0]["steps"]),
            "CPU s": f"{statistics.mean(line['cpu'] for line in own):.0f}",
        }
        values = [[100 * line["scores"][metric] for line in own] for metric in metrics]
        made.append("| " + " | ".join([method, *(known[fact] for fact in facts), *map(_cell, values)]) + " |")
    return made


def _cell(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


if __name__ == "__main__":
    main()
