"""MCLRec against its baselines and ablations, several seeds, with as many encoder updates for each.

    python plugins/recommendation/benchmarks/evidence.py --ranks FOLDER --seeds 3 --epochs 1 \
        --out docs/evidence/mclrec-ml100k.md
    python plugins/recommendation/benchmarks/evidence.py --path amazon_beauty.txt --users 1000 --ranks FOLDER \
        --seeds 3 --epochs 5 --out docs/evidence/mclrec-beauty.md

Without a path the data are MovieLens 100K with the weights and dropout of recommendation/mclrec. A file is taken with
those of recommendation/mclrec-beauty; `--users N` takes its first N lines, a user each, and keeps all of their items.
Joint training makes one encoder update a batch, the others two, so it has twice the epochs. Nothing is tuned.

Results are kept in a JSON-lines file beside the table and the test ranks of each run in FOLDER, so that an interrupted
benchmark goes on where it stopped. The intervals resample users, not seeds: a user's gain is its mean over the seeds
that both methods have.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrast_core import runs
from contrast_core.assembly import trained
from contrast_core.compose import Composition
from contrast_core.diagnostics import alignment, uniformity
from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.ranking import gains, paired_bootstrap
from contrast_core.interfaces import Outputs
from contrast_core.registry import discover
from contrast_core.report.charts import Line, figure
from contrast_core.report.picture import save
from contrast_core.samplers.views import TwoViews
from contrast_core.training.embedding import embed_tables
from contrast_core.training.loader import batches
from contrast_recommendation.data.component import Interactions
from contrast_recommendation.objectives import MarginRegulariser
from contrast_recommendation.ranking import FullRanking
from contrast_recommendation.step import Meta

SASREC, JOINT, BARE = "SASRec", "MCLRec, joint", "MCLRec without R"
METRICS = ["HR@10", "HR@20", "NDCG@10", "NDCG@20", "MRR"]
COUPLES = {"h": ("one", "two"), "z": ("one-augmented", "two-augmented")}
GEOMETRY = [f"{what} {couple}" for couple in COUPLES for what in ("alignment", "uniformity", "positive first")]
LOOKED_AT = 8
"""Batches of training samples whose geometry is looked at after training."""
POINTS = 60
"""Points of a curve over training."""
Ranks = Mapping[tuple[str, int], Tensor]


def variants(epochs: int, beauty: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Title -> recipe and settings."""
    contrast: dict[str, Any] = {"objective.contrast.weight": 0.05} if beauty else {}
    margin: dict[str, Any] = {"objective.margin.weight": 0.005} if beauty else {}
    own = {"contrast": 1.0, "margin": 0.1}
    both: dict[str, Any] = {"step.weights": own} if beauty else {}
    alone: dict[str, Any] = {"step.weights": {"contrast": own["contrast"]}} if beauty else {}
    alone["step.objectives"] = ["contrast"]
    silent = {"objective.margin.weight": 0.0}
    length = {"training.epochs": epochs}
    return {
        SASREC: ("recommendation/sasrec", length),
        "CL4SRec": ("recommendation/cl4srec", length),
        JOINT: ("recommendation/mclrec-joint", {"training.epochs": 2 * epochs, **contrast, **margin}),
        # R is computed and logged, but has no part in any loss.
        BARE: ("recommendation/mclrec", {**length, **contrast, **silent, **alone}),
        "MCLRec": ("recommendation/mclrec", {**length, **contrast, **margin, **both}),
    }


def common(path: Path | None, users: int | None, folder: Path) -> dict[str, Any]:
    """Settings of all variants; of a file with `users`, its first lines are written to the folder."""
    settings: dict[str, Any] = {
        "training.threads": 1,
        "training.device": "cpu",
        "training.tensorboard": "off",
        "training.diagnose_every": 100000,
        "training.checkpoint_every": 100000,
    }
    if path is None:
        return settings
    settings |= {"data.max_length": 50, "encoder.dropout": 0.5, "encoder.attention_dropout": 0.5}
    if users is not None:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:users]
        path = folder / path.name
        path.write_text("".join(lines), encoding="utf-8")
        # The whole file was filtered; of a part of its users hardly an item would be left.
        settings |= {"data.user_minimum": 1, "data.item_minimum": 1}
    return {**settings, "data.path": path.absolute()}


def scores(ranks: Tensor) -> dict[str, float]:
    """Means over users; MRR is not cut off."""
    worst = int(ranks.max())
    cut = {"MRR": ("MRR", worst), **{f"{m}@{k}": (m, k) for m in ("HR", "NDCG") for k in (10, 20)}}
    return {name: float(gains(ranks, *cut[name]).mean()) for name in METRICS}  # type: ignore[arg-type]


def geometry(composition: Composition, seed: int) -> dict[str, float]:
    """Mean alignment, uniformity and share of anchors whose positive beats all negatives, of the views there are.

    Views are drawn at random as in training, on batches as in training, but without dropout. The shares are of the 2 B
    anchors of NT-Xent between the two tables, by inner product.
    """
    pipeline = composition.pipeline.eval()
    for view in pipeline.views.values():
        view.train()
    torch.manual_seed(seed)
    found: dict[str, list[float]] = {name: [] for name in GEOMETRY}
    with torch.no_grad():
        for number, batch in enumerate(batches(composition.data, composition.training, epoch=0)):
            if number == LOOKED_AT:
                break
            tables = {n: t for n, t in pipeline(batch).tables.items() if isinstance(t, Embeddings)}
            for name, (one, two) in COUPLES.items():
                if one not in tables:
                    continue
                a, b = tables[one].z, tables[two].z
                found[f"alignment {name}"].append(alignment(a, b))
                found[f"uniformity {name}"].append((uniformity(a) + uniformity(b)) / 2)
                pairs = TwoViews((one, two))(tables)
                term = MarginRegulariser(bounds="row")(Outputs(tables, pairs, batch))
                found[f"positive first {name}"].append(1 - term.scalars["hard"])
    return {name: statistics.mean(values) for name, values in found.items() if values}


def measure(recipe: str, settings: Mapping[str, Any], seed: int) -> tuple[dict[str, Any], Tensor]:
    """Train one variant with one seed: what there is to keep of it, and the test ranks of all users."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        run = runs.run(recipe, set={**settings, "training.seed": seed}, out=Path(place) / "run")
        seconds = time.process_time() - began
        batches_seen = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))["steps"]
        updates, won = curve(run.folder)
        composition = trained(run.folder, [], discover())
        data, step = composition.data, composition.step
        assert isinstance(data, Interactions)
        size = composition.training.batch_size
        tables = embed_tables(composition.pipeline, data, size, FullRanking.needs)
        ranks = FullRanking().ranks(tables, data)["test"]
        each = step.updates.count("encoder") if isinstance(step, Meta) else 1
        line = {
            "steps": batches_seen * each,
            "seconds": round(seconds, 1),
            "scores": scores(ranks),
            "geometry": geometry(composition, seed),
            "won": {"updates": [each * update for update in updates], "share": won},
            "data": data.source,
        }
    return line, ranks


def curve(folder: Path) -> tuple[list[float], list[float]]:
    """Share of augmented rows whose positive beats all negatives, as R logs it: batches, and the means there."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [
        (x["step"], 1 - x["scalars"]["margin/augmented/hard"]) for x in lines if "margin/augmented/hard" in x["scalars"]
    ]
    if not found:
        return [], []
    parts = np.array_split(np.array(found), min(POINTS, len(found)))
    return [float(part[:, 0].mean()) for part in parts], [float(part[:, 1].mean()) for part in parts]


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """The share of won pairs in training, of the first seed, and alignment and uniformity afterwards, of all seeds."""
    titles = list(dict.fromkeys(line["variant"] for line in found if line["geometry"]))
    first = {line["variant"]: line["won"] for line in reversed(found) if line["won"]["share"]}
    shares = [Line(title, won["updates"], won["share"]) for title, won in first.items()]
    charts = [figure("Augmented pairs already won", "", shares, x_label="encoder update", percent=True, key=True)]
    names = [(float(number), title.replace("MCLRec", "M.")) for number, title in enumerate(titles)]
    for what in ("alignment", "uniformity"):
        points = []
        for couple in COUPLES:
            means = [
                [x["geometry"].get(f"{what} {couple}", math.nan) for x in found if x["variant"] == title]
                for title in titles
            ]
            points.append(Line(couple, range(len(titles)), [statistics.mean(values) for values in means]))
        charts.append(figure(f"{what.capitalize()} after training", "", points, x_label="", x_ticks=names, dotted=True))
    save(path, charts, [line.name for line in shares], columns=3)


def spread(values: list[float], digits: int) -> str:
    """Mean and, of several values, their deviation."""
    if not values:
        return ""
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def difference(ranks: Ranks, title: str, baseline: str) -> str:
    """Mean difference of NDCG@20 in per cent points with its 95 % interval; '' if there is no common seed."""
    seeds = sorted(seed for name, seed in ranks if name == title and (baseline, seed) in ranks)
    if title == baseline or not seeds:
        return ""
    first, second = (
        torch.stack([gains(ranks[name, seed], "NDCG", 20) for seed in seeds]).mean(0) for name in (title, baseline)
    )
    found = paired_bootstrap(100 * first, 100 * second, torch.Generator().manual_seed(0))
    return f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def table(found: list[dict[str, Any]], ranks: Ranks, command: str) -> str:
    """Both tables as markdown: scores with intervals, and the geometry."""
    of: Callable[[str], list[dict[str, Any]]] = lambda title: [x for x in found if x["variant"] == title]  # noqa: E731
    titles = list(dict.fromkeys(line["variant"] for line in found))
    head = ["method", "seeds", "encoder updates", "CPU s", *METRICS]
    head += ["NDCG@20 less SASRec's", "NDCG@20 less joint MCLRec's"]
    rows = [head, ["---"] * len(head)]
    shape = [["method", *GEOMETRY], ["---"] * (1 + len(GEOMETRY))]
    for title in titles:
        lines = of(title)
        seeds = ", ".join(str(line["seed"]) for line in lines)
        steps = ", ".join(sorted({str(line["steps"]) for line in lines}))
        seconds = f"{statistics.mean(line['seconds'] for line in lines):.0f}"
        cells = [spread([100 * line["scores"][metric] for line in lines], 2) for metric in METRICS]
        apart = [difference(ranks, title, baseline) for baseline in (SASREC, JOINT)]
        rows.append([title, seeds, steps, seconds, *cells, *apart])
        if any(line["geometry"] for line in lines):
            numbers = [[line["geometry"][k] for line in lines if k in line["geometry"]] for k in GEOMETRY]
            shape.append([title, *(spread(values, 3) for values in numbers)])
    text = ["\n".join(f"| {' | '.join(row)} |" for row in part) for part in (rows, shape)]
    return "\n\n".join([f"Made by `{command}`.", found[0]["data"], *text]) + "\n"


def read(
    log: Path, folder: Path, epochs: int
) -> tuple[dict[tuple[str, int], dict[str, Any]], dict[tuple[str, int], Tensor]]:
    """Runs of that many epochs whose line and ranks are both there."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    found, ranks = {}, {}
    for line in lines:
        key = line["variant"], line["seed"]
        path = ranks_file(folder, log.stem, *key)
        if line["epochs"] == epochs and path.exists():
            with np.load(path) as file:
                found[key], ranks[key] = line, torch.from_numpy(file["test"])
    return found, ranks


def ranks_file(folder: Path, name: str, title: str, seed: int) -> Path:
    """Where the test ranks of one run are."""
    return folder / f"{name}-{title.lower().replace(', ', '-').replace(' ', '-')}-{seed}.npz"


def main() -> None:
    """Measure what is not measured yet and write the tables after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, help="interactions, by default MovieLens 100K")
    parser.add_argument("--users", type=int, help="take the file's first lines only, one a user")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1, help="joint training has twice as many")
    parser.add_argument("--ranks", type=Path, required=True, help="folder of the test ranks")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.users is not None and given.path is None:
        parser.error("--users needs --path, a file with a user in each line.")
    torch.set_num_threads(1)
    log = given.out.with_suffix(".jsonl")
    found, ranks = read(log, given.ranks, given.epochs)
    source = f"--path {given.path.name} " if given.path else ""
    source += f"--users {given.users} " if given.users else ""
    options = f"{source}--ranks FOLDER --seeds {given.seeds} --epochs {given.epochs} --out {given.out}"
    todo = variants(given.epochs, given.path is not None)
    for folder in (given.ranks, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        settings = common(given.path, given.users, Path(place))
        for key in [(title, seed) for seed in range(given.seeds) for title in todo]:
            if key not in found:
                recipe, own = todo[key[0]]
                measured, ranks[key] = measure(recipe, {**settings, **own}, key[1])
                found[key] = {"variant": key[0], "seed": key[1], "epochs": given.epochs, **measured}
                np.savez_compressed(ranks_file(given.ranks, log.stem, *key), test=ranks[key].numpy())
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found[key]) + "\n")
                print(*key, measured["steps"], measured["seconds"], measured["scores"], file=sys.stderr, flush=True)
            ordered = [found[title, seed] for title in todo for seed in range(given.seeds) if (title, seed) in found]
            text = table(ordered, ranks, f"python plugins/recommendation/benchmarks/evidence.py {options}")
            given.out.write_text(text, encoding="utf-8")
            if any(line["won"]["share"] for line in ordered):
                draw(ordered, given.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
