"""BECLR against its baselines on alphabets that training never saw, over common episodes.

    python plugins/fewshot/benchmarks/evidence.py run omniglot.npz rows.jsonl --seeds 3 --epochs 8
    python plugins/fewshot/benchmarks/evidence.py table rows.jsonl --out docs/evidence/beclr.md

`run` appends a line to rows.jsonl after each method and seed, and leaves out those that are there already. The .npz
file has `images` (uint8), `character` and `alphabet`; three alphabets are held out.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from contrast_core import runs
from contrast_core.data.images import Images
from contrast_core.embeddings import Embeddings
from contrast_core.registry import discover
from contrast_fewshot.data.heldout import HeldOut
from contrast_fewshot.drawing import draw_episodes
from contrast_fewshot.episodes import run_episodes
from contrast_fewshot.opta import OpTA

OURS, THEIRS = "fewshot/beclr-omniglot", "fewshot/beclr-omniglot-as-published"
TRAINED: dict[str, tuple[str, dict[str, Any]]] = {
    "plain loss (no memory)": (OURS, {"sampler.pairs.neighbours": 0}),
    "global neighbours (NNCLR-like)": (OURS, {"memory.memory.prototypes": 0}),
    "BECLR, corrected": (OURS, {}),
    "BECLR, as published": (THEIRS, {}),
}
UNTRAINED = ("raw pixels", "untrained encoder")
KINDS = {
    "1": (1, None),
    "1 + OpTA": (1, OpTA()),
    "5": (5, None),
    "5 + OpTA": (5, OpTA()),
}
IMBALANCED = {
    "1": (1, None),
    "1 + OpTA": (1, OpTA()),
    "1 + unbalanced OpTA": (1, OpTA(relaxation=0.1)),
    "5": (5, None),
    "5 + OpTA": (5, OpTA()),
    "5 + unbalanced OpTA": (5, OpTA(relaxation=0.1)),
}


def main() -> None:
    """Run what is missing, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run")
    run.add_argument("data", type=Path)
    run.add_argument("rows", type=Path)
    run.add_argument("--seeds", type=int, default=3)
    run.add_argument("--epochs", type=int, default=8)
    run.add_argument("--episodes", type=int, default=600)
    run.set_defaults(function=collect)
    table = commands.add_parser("table")
    table.add_argument("rows", type=Path)
    table.add_argument("--out", type=Path, required=True)
    table.set_defaults(function=lambda given: write_tables(given.rows, given.out))
    given = parser.parse_args()
    given.function(given)


def collect(given: argparse.Namespace) -> None:
    """One line for each method and seed that has none yet."""
    torch.set_num_threads(1)
    lines = given.rows.read_text().splitlines() if given.rows.exists() else []
    done = {(row["method"], row["seed"]) for row in map(json.loads, lines)}
    for seed in range(given.seeds):
        for method in (*UNTRAINED, *TRAINED):
            if (method, seed) in done or (method == "raw pixels" and seed):
                continue
            start = time.process_time()
            table, purity, steps = embedded(given, method, seed)
            row = {
                "method": method,
                "seed": seed,
                "epochs": given.epochs,
                "steps": steps,
                "purity": [[step, round(x, 4)] for step, x in purity],
            }
            row["cpu"] = round(time.process_time() - start, 1)
            row["balanced"] = right_answers(table, given.episodes, None, KINDS)
            uneven = right_answers(table, given.episodes, 2.0, IMBALANCED)
            row["imbalanced"] = {kind: sum(x) / (45 * len(x)) for kind, x in uneven.items()}
            with given.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(method, seed, {kind: round(sum(x) / (0.75 * len(x)), 1) for kind, x in row["balanced"].items()})


def embedded(given: argparse.Namespace, method: str, seed: int) -> tuple[Embeddings, list[list[float]], int]:
    """The novel images' table, the purity of neighbours by step, and the number of steps."""
    images = Images(given.data, image="images", label="character", group="alphabet", shown="all")
    data = HeldOut(images, novel=["5", "6", "7"], by="group")
    data.load()
    items = data.evaluation_items
    if method == "raw pixels":
        return Embeddings.of(data.batch(items)["image"].flatten(1), label=data.labels[items]), [], 0
    recipe, settings = TRAINED.get(method, (OURS, {}))
    # An epoch's steps: the last, smaller batch is one too.
    epoch = math.ceil(len(data.training_items) / 128)
    untrained = method == "untrained encoder"
    changed = {
        **settings,
        "data.data.path": given.data,
        "training.seed": seed,
        "training.epochs": given.epochs,
        "training.threads": 1,
        "training.device": "cpu",
        "training.tensorboard": "off",
        "encoder.encoder.updates": given.epochs * epoch,
        "memory.memory.start": round(1.5 * epoch),
        "memory.memory.recluster": 3 * epoch,
        "evaluation.episodes.episodes": 10,
    }
    if untrained:
        changed |= {"training.steps": 1, "training.learning_rate": 0.0}
    if recipe == THEIRS:
        for name in ("memory-predicted", "memory-student"):
            changed |= {f"memory.{name}.start": round(1.5 * epoch), f"memory.{name}.recluster": 3 * epoch}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        registry = discover()
        runs.run(recipe, set=changed, out=out, registry=registry)
        metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        table = runs.embed(out, registry=registry)
    purity = [[row["step"], x] for row in metrics if (x := row["scalars"].get("beclr/positive/purity")) is not None]
    return table.with_columns(label=data.labels[items]), purity, 0 if untrained else len(metrics)


def right_answers(
    table: Embeddings, episodes: int, imbalance: float | None, kinds: dict[str, tuple[int, OpTA | None]]
) -> dict[str, list[int]]:
    """How many of an episode's queries (75, or 45 of uneven parts) are right, the same episodes for all methods."""
    queries = 15 if imbalance is None else 9  # 20 images a class leave room for shares that are not even
    drawn = draw_episodes(table["label"], episodes, 5, 5, queries, seed=0, imbalance=imbalance)
    z = table.z.flatten(1)
    return {
        kind: (run_episodes(z, drawn, shots, opta).predicted == drawn.way).sum(1).tolist()
        for kind, (shots, opta) in kinds.items()
    }


def write_tables(rows: Path, out: Path) -> None:
    """Markdown: accuracies, paired differences, imbalanced queries, purity."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in map(json.loads, rows.read_text().splitlines()):
        found.setdefault(row["method"], []).append(row)
    methods = [name for name in (*UNTRAINED, *TRAINED) if name in found]
    epochs = max(row["epochs"] for each in found.values() for row in each)
    seeds = max(len(each) for each in found.values())
    script = "python plugins/fewshot/benchmarks/evidence.py"
    command = f"{script} run omniglot_small_28.npz rows.jsonl --seeds {seeds} --epochs {epochs}"
    lines = [
        f"Made by `{command}` and `... table rows.jsonl --out {out}`.",
        "",
        "Accuracy in %, 5 ways, 15 queries a class, mean and deviation over seeds; episodes are common to all.",
        "",
        header(["method", "seeds", "steps", "CPU s", *map(titled, KINDS)]),
    ]
    for name in methods:
        each = found[name]
        seeds = ", ".join(str(row["seed"]) for row in each)
        cpu = sum(row["cpu"] for row in each) / len(each)
        cells = [over_seeds(each, "balanced", kind) for kind in KINDS]
        lines.append(line([name, seeds, str(each[0]["steps"]), f"{cpu:.0f}", *cells]))
    text = (
        "Corrected BECLR less each other trained method on the same episodes, in points, with the 95 % interval over "
        "episodes of the difference averaged over seeds. It says nothing of what other seeds would give."
    )
    lines += ["", text, "", header(["less", *map(titled, KINDS)])]
    for name in methods:
        if name in TRAINED and name != "BECLR, corrected" and "BECLR, corrected" in found:
            lines.append(line([name, *(paired(found["BECLR, corrected"], found[name], kind) for kind in KINDS)]))
    text = (
        "Accuracy with 45 queries an episode, parted by a Dirichlet distribution (alpha 2), 15 of a class at most; the "
        "unbalanced OpTA has relaxation 0.1."
    )
    lines += ["", text, "", header(["method", *map(titled, IMBALANCED)])]
    lines += [line([name, *(over_seeds(found[name], "imbalanced", kind) for kind in IMBALANCED)]) for name in methods]
    text = (
        "Purity: share of retrieved rows that show the character of the row they were retrieved for, in %, mean over "
        "seeds, in five equal parts of the steps after retrieval began."
    )
    lines += ["", text, "", header(["method", *(f"part {n + 1}" for n in range(5))])]
    lines += [line([name, *purities(found[name])]) for name in methods if found[name][0]["purity"]]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines) + "\n")


def header(cells: list[str]) -> str:
    """A table's first two lines."""
    return line(cells) + "\n" + line(["---"] * len(cells))


def titled(kind: str) -> str:
    """1 + OpTA: 1-shot + OpTA."""
    shots, _, method = kind.partition(" ")
    return f"{shots}-shot {method}".strip()


def line(cells: list[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def over_seeds(rows: list[dict[str, Any]], part: str, kind: str) -> str:
    """Mean and deviation over seeds; of one seed the mean."""
    if part == "balanced":
        values = [sum(row[part][kind]) / (75 * len(row[part][kind])) for row in rows]
    else:
        values = [row[part][kind] for row in rows]
    means = 100 * torch.tensor(values, dtype=torch.float64)
    return f"{means.mean():.1f}" if len(rows) == 1 else f"{means.mean():.1f} ± {means.std():.1f}"


def paired(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], kind: str) -> str:
    """The mean difference over common seeds and episodes, and the interval over episodes."""
    mine, other = ({row["seed"]: row["balanced"][kind] for row in rows} for rows in (ours, theirs))
    common = sorted(mine.keys() & other.keys())
    if not common:
        return ""
    each = [torch.tensor(mine[seed], dtype=torch.float64) - torch.tensor(other[seed]) for seed in common]
    differences = torch.stack(each).mean(0) / 75
    half = 1.96 * float(differences.std()) / math.sqrt(len(differences))
    return f"{100 * float(differences.mean()):+.1f} ± {100 * half:.1f}"


def purities(rows: list[dict[str, Any]]) -> list[str]:
    """Five means over time."""
    values = torch.tensor([[x for _, x in row["purity"]] for row in rows], dtype=torch.float64).mean(0)
    return [f"{100 * float(part.mean()):.1f}" for part in values.tensor_split(5)]


if __name__ == "__main__":
    main()
