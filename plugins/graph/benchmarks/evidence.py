"""MEOW and AdaMEOW against their baselines and ablations, several seeds, on a folder in the public layout.

    python plugins/graph/benchmarks/evidence.py acm FOLDER --seeds 5 --out docs/evidence/meow-acm.md

All variants of MEOW with one seed train on the same adjacencies and masks (but for the row with another tie order) and
are probed alike; AdaMEOW has the views of its own recipe. Rows are the mean over seeds and the deviation between seeds
(not between initialisations of the probe); raw features, which need no training, are probed once. Results are kept in a
JSON-lines file beside the table, so that an interrupted run goes on where it stopped.
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

from contrast_core import runs
from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.clusters import Clustering
from contrast_graph.data.component import Nodes
from contrast_graph.data.hetero import features
from contrast_graph.evaluation import NodeProbe
from contrast_graph.metapaths import row_normalise

EPOCHS = {"acm": 60, "imdb": 100}
METRICS = ["Macro-F1 20", "Macro-F1 40", "Macro-F1 60", "Micro-F1 20", "AUC 20", "NMI", "ARI"]


def variants(name: str, epochs: int, ada_epochs: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """Title -> recipe and settings: the data set's own recipe but for the number of epochs and what the title says."""
    published = f"graph/meow-{name}"
    plain = {
        "sampler.nodes.use": "core/cross",
        "sampler.nodes.anchors": "coarse",
        "sampler.nodes.candidates": "fine",
    }
    fixed = {"training.epochs": epochs, "training.patience": 30}
    ada = {"training.epochs": ada_epochs, "training.learning_rate": 5e-4}
    return {
        "random encoder": (published, {**fixed, "training.epochs": 1, "training.learning_rate": 0.0}),
        "InfoNCE, no weights, no prototypes": (
            published,
            {**fixed, **plain, "objective.contrast.use": "core/infonce", "objective.prototypes.weight": 0.0},
        ),
        "MEOW without weights": (published, {**fixed, **plain, "objective.contrast.use": "core/infonce"}),
        "MEOW without prototypes": (published, {**fixed, "objective.prototypes.weight": 0.0}),
        "MEOW": (published, fixed),
        "MEOW, plain-mean k-means": (published, {**fixed, "memory.clusters.spherical": False}),
        "MEOW, k-means from the same rows": (published, {**fixed, "memory.clusters.start": "same"}),
        "MEOW, warm k-means": (published, {**fixed, "memory.clusters.start": "warm"}),
        "MEOW, authors' tie order": (published, {**fixed, "view.metapaths.ties": "authors"}),
        "AdaMEOW": (f"graph/adameow-{name}", ada),
        "AdaMEOW, normalised weights": (f"graph/adameow-{name}", {**ada, "objective.contrast.normalise_weights": True}),
    }  # fmt: skip


def raw_features(folder: Path, seed: int, probe: NodeProbe) -> dict[str, float]:
    """The probe on the row-normalised target features themselves."""
    data = Nodes(folder, missing_features="svd")
    data.load()
    matrix = row_normalise(features(data.graph.graph, data.graph.target)).toarray()
    table = Embeddings.of(torch.from_numpy(matrix).float(), sample=torch.arange(len(data)), label=data.labels)
    tables = {"embedding": table}
    generator = torch.Generator().manual_seed(seed)
    scores = [*probe.evaluate(tables, data, generator), *Clustering(starts=10).evaluate(tables, data, generator)]
    return named(scores)


def named(scores: list[Any]) -> dict[str, float]:
    """Scores by "metric labels"."""
    return {f"{s.metric} {s.split.partition(' ')[0]}".strip(): s.mean for s in scores}


def measure(recipe: str, settings: dict[str, Any], folder: Path, seed: int) -> dict[str, float]:
    """Train one variant with one seed and return its scores."""
    common = {
        "data.path": folder,
        "view.metapaths.seed": seed,
        "training.seed": seed,
        "training.threads": 1,
        "training.tensorboard": "off",
        "training.diagnose_every": 1000,
        "training.checkpoint_every": 100000,
    }
    with tempfile.TemporaryDirectory() as place:
        run = runs.run(recipe, set={**settings, **common}, out=Path(place) / "run")
        steps = json.loads((run.folder / "run.json").read_text())["steps"]
        scores = named([score for found in run.scores.values() for score in found])
        return {**scores, "epochs": float(steps)}


def table(name: str, found: list[dict[str, Any]], command: str) -> str:
    """The markdown table of everything that was measured."""
    titles = list(dict.fromkeys(line["variant"] for line in found))
    rows = []
    for title in titles:
        lines = [line for line in found if line["variant"] == title]
        cells = []
        for metric in METRICS:
            values = [100 * line["scores"][metric] for line in lines if metric in line["scores"]]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}" if values else "")
        epochs = [line["scores"].get("epochs", 0.0) for line in lines]
        seconds = statistics.mean(line["seconds"] for line in lines)
        rows.append(f"| {title} | {len(lines)} | {statistics.mean(epochs):.0f} | {seconds:.0f} | {' | '.join(cells)} |")
    head = f"| {name} | seeds | epochs | CPU s | {' | '.join(METRICS)} |"
    return "\n".join([f"Made by `{command}`.", "", head, "|---" * (4 + len(METRICS)) + "|", *rows]) + "\n"


def main() -> None:
    """Measure what is not measured yet and write the table after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["acm", "imdb"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=None, help="of MEOW; by default 60 on ACM and 100 on IMDB")
    parser.add_argument("--ada-epochs", type=int, default=60)
    parser.add_argument("--only", nargs="*", default=None, help="titles of the variants to measure")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    epochs = given.epochs or EPOCHS[given.name]
    log = given.out.with_suffix(".jsonl")
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    options = f"--seeds {given.seeds} --epochs {epochs} --ada-epochs {given.ada_epochs}"
    command = f"python plugins/graph/benchmarks/evidence.py {given.name} FOLDER {options} --out {given.out}"
    probe = NodeProbe(learning_rate=0.03 if given.name == "acm" else 0.01)
    todo = ["raw features", *variants(given.name, epochs, given.ada_epochs)]
    for seed in range(given.seeds):
        for title in todo:
            done = any(f["variant"] == title and f["seed"] == seed for f in found)
            if done or (given.only and title not in given.only) or (title == "raw features" and seed > 0):
                continue
            start = time.process_time()
            if title == "raw features":
                scores = raw_features(given.folder, seed, probe)
            else:
                recipe, settings = variants(given.name, epochs, given.ada_epochs)[title]
                scores = measure(recipe, settings, given.folder, seed)
            line = {
                "variant": title,
                "seed": seed,
                "seconds": round(time.process_time() - start, 1),
                "scores": scores,
            }
            found.append(line)
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(
                title,
                seed,
                {k: round(v, 3) for k, v in scores.items() if k in METRICS},
                file=sys.stderr,
                flush=True,
            )
    order = {title: i for i, title in enumerate(todo)}
    found.sort(key=lambda line: (order[line["variant"]], line["seed"]))
    given.out.write_text(table(given.name.upper(), found, command))


if __name__ == "__main__":
    main()
