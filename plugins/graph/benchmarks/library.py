"""The default graph: what words, structure, and training on it are worth, over several seeds.

    python plugins/graph/benchmarks/library.py --seeds 3 --out docs/evidence/library.md

Rows: which library a function comes from (how much writing style could leak), its words, its words spread over the
meta-paths without any training, and the shipped recipes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrast_core import runs
from contrast_core.embeddings import Embeddings
from contrast_graph.data.component import Nodes
from contrast_graph.data.hetero import features
from contrast_graph.evaluation import NodeProbe
from contrast_graph.metapaths import metapath_counts, normalise, row_normalise

COLUMNS = ["Macro-F1 20", "Macro-F1 40", "Macro-F1 60", "AUC 20"]
RECIPES = {
    "random encoder": ("graph/meow", {"training.epochs": 1, "training.learning_rate": 0.0}),
    "InfoNCE": ("graph/infonce", {}),
    "MEOW": ("graph/meow", {}),
    "AdaMEOW": ("graph/adameow", {}),
}


def untrained(seed: int) -> dict[str, dict[str, float]]:
    """Scores of tables that need no training."""
    data = Nodes()
    data.load()
    graph = data.graph
    words = row_normalise(features(graph.graph, graph.target))
    spread: Any = sum(normalise(metapath_counts(graph.half_incidences(name))) @ words for name in graph.metapaths)
    libraries = np.array([name.partition(".")[0] for name in data.names])
    one_hot = (libraries[:, None] == np.unique(libraries)[None]).astype(np.float32)
    tables = {
        "library alone": one_hot,
        "words": words.toarray(),
        "words spread over the meta-paths": spread.toarray() / len(graph.metapaths),
    }
    found = {}
    for title, rows in tables.items():
        unit = torch.nn.functional.normalize(torch.from_numpy(np.asarray(rows, dtype=np.float32)), dim=1)
        table = Embeddings.of(unit, sample=torch.arange(len(data)), label=data.labels)
        scores = NodeProbe().evaluate({"embedding": table}, data, torch.Generator().manual_seed(seed))
        found[title] = named(scores)
    return found


def trained(title: str, seed: int) -> dict[str, float]:
    """Scores of a recipe with one seed."""
    recipe, settings = RECIPES[title]
    common = {"training.seed": seed, "view.metapaths.seed": seed, "training.threads": 1, "training.tensorboard": "off"}
    with tempfile.TemporaryDirectory() as place:
        run = runs.run(recipe, set={**settings, **common}, out=Path(place) / "run")
        return named(run.scores["probe"])


def named(scores: Any) -> dict[str, float]:
    """Scores by "metric labels", in per cent."""
    return {f"{s.metric} {s.split.partition(' ')[0]}": 100 * s.mean for s in scores}


def cell(values: list[float]) -> str:
    """Mean and deviation between seeds."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def main() -> None:
    """Measure everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(given.seeds):
        for title, scores in untrained(seed).items():
            found.setdefault(title, []).append(scores)
        for title in RECIPES:
            found.setdefault(title, []).append(trained(title, seed))
            print(title, seed, {k: round(v, 1) for k, v in found[title][-1].items() if k in COLUMNS}, flush=True)
    lines = [f"Made by `python plugins/graph/benchmarks/library.py --seeds {given.seeds} --out {given.out}`.", ""]
    lines += [f"| default graph | {' | '.join(COLUMNS)} |", "|---" * (1 + len(COLUMNS)) + "|"]
    for title, all_scores in found.items():
        lines.append(f"| {title} | {' | '.join(cell([s[c] for s in all_scores]) for c in COLUMNS)} |")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
