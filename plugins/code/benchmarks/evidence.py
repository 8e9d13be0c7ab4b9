"""CoCoSoDa's parts, one after the other, on the Python code that is installed: what each is worth, several seeds.

    python plugins/code/benchmarks/evidence.py --out docs/evidence/cocosoda.md

In-batch InfoNCE, then the momentum encoder and its queues, the two terms within a modality, and soft augmentation,
which makes it CoCoSoDa; all with the same network, data, batches, steps and rates; nothing is tuned. Three settings:
files apart, the same without the function's own name in its code, and searching a library that was not trained on. A
seed is that of the training; split and test queries are the same for all. Beside them TF-IDF and BM25, which learn
nothing.

Rows, with each query's rank, are kept in a JSON-lines file beside the table, one a run, so that an interrupted
benchmark goes on where it stopped. Intervals resample queries; a query's gain is its mean over the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from contrast_code.lexical import Lexical
from contrast_core import runs
from contrast_core.assembly import trained
from contrast_core.diagnostics import alignment, uniformity
from contrast_core.evaluation.ranking import gains, paired_bootstrap
from contrast_core.evaluation.retrieval import Retrieval
from contrast_core.registry import discover
from contrast_core.training.embedding import evaluated_tables

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "files apart": {},
    "own name hidden": {"data.hide_names": True},
    "another library": {"data.hidden_origins": ["networkx"]},
}
INTER = ["code-query", "code-query-teacher", "query-code", "query-code-teacher"]
BASE = "code/infonce"
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "InfoNCE": (BASE, {}),
    "+ momentum, queues": (
        "code/cocosoda",
        {"view.augment.ratio": 0.0, "sampler.pairs.intra": False, "objective.contrast.pairs": INTER},
    ),
    "+ within modalities": ("code/cocosoda", {"view.augment.ratio": 0.0}),
    "+ augmentation = CoCoSoDa": ("code/cocosoda", {}),
}
WORDS = ("TF-IDF", "BM25")
WHOLE, POOLS = "test", "test, pools of 1,000"


def measure(recipe: str, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Train one variant: the ranks of all queries, alignment and uniformity; and what words alone find."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        run = runs.run(recipe, set={**settings, "training.seed": seed}, out=Path(place) / "run")
        seconds = time.process_time() - began
        composition = trained(run.folder, [], discover())
        tables = evaluated_tables(composition, {"query", "code"})
        data, items = composition.data, composition.data.splits["all"].test
        place_of = torch.full((len(data),), -1)
        place_of[tables["embedding"]["sample"]] = torch.arange(len(tables["embedding"]))
        code, query = (tables[name].z[place_of[items]].double().numpy() for name in ("code", "query"))
        search = next(one for one in composition.evaluators.values() if isinstance(one, Retrieval))
        words = next(one for one in composition.evaluators.values() if isinstance(one, Lexical))
        steps = json.loads((run.folder / "run.json").read_text("utf-8"))["steps"]
        return {
            "seconds": seconds,
            "steps": steps,
            "pairs": data.source,
            "alignment": alignment(query, code),
            "uniformity": uniformity(code),
            **_kept(search.ranks(tables, data)),
            "words": {name: _kept(found) for name, found in words.ranks(data).items()} if recipe == BASE else {},
        }


def _kept(ranks: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """All ranks among all codes, and the mean reciprocal rank in pools."""
    return {"ranks": ranks[WHOLE].tolist(), "pools": float(mrr(ranks.get(POOLS, ranks[WHOLE])).mean())}


def mrr(ranks: Any) -> torch.Tensor:
    """What each query is worth."""
    return gains(torch.as_tensor(ranks, dtype=torch.float64), "MRR", 2**53)


def recall(ranks: Any, k: int) -> float:
    """R@k."""
    return float(gains(torch.as_tensor(ranks, dtype=torch.float64), "Recall", k).mean())


def mean(values: list[float]) -> str:
    """With the deviation over seeds, if there are several."""
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}"


def table(rows: list[dict[str, Any]], command: str) -> str:
    """The document."""
    lines = [f"Made by `{command}`.", ""]
    for setting in dict.fromkeys(row["setting"] for row in rows):
        some = [row for row in rows if row["setting"] == setting]
        lines += [f"**{setting}.** {some[0]['pairs']}. {some[0]['steps']} steps.", ""]
        head = ["method", "seeds", "MRR", "R@1", "R@10", "MRR, 1,000 codes"]
        head += ["alignment", "uniformity", "CPU s", "more than InfoNCE"]
        lines += [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for name in WORDS:
            words = next(row["words"][name] for row in some if row["words"])
            one, ten = recall(words["ranks"], 1), recall(words["ranks"], 10)
            found = f"{float(mrr(words['ranks']).mean()):.3f} | {one:.3f} | {ten:.3f} | {words['pools']:.3f}"
            lines.append(f"| {name} | - | {found} | | | | |")
        base = {row["seed"]: mrr(row["ranks"]) for row in some if row["method"] == "InfoNCE"}
        for name in VARIANTS:
            own = [row for row in some if row["method"] == name]
            if not own:
                continue
            common = [row["seed"] for row in own if row["seed"] in base and name != "InfoNCE"]
            more = ""
            if common:
                ours = torch.stack([mrr(row["ranks"]) for row in own if row["seed"] in common]).mean(0)
                theirs = torch.stack([base[seed] for seed in common]).mean(0)
                found = paired_bootstrap(ours, theirs, torch.Generator().manual_seed(0))
                more = f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
            columns = [
                [float(mrr(row["ranks"]).mean()) for row in own],
                [recall(row["ranks"], 1) for row in own],
                [recall(row["ranks"], 10) for row in own],
                [row["pools"] for row in own],
                [row["alignment"] for row in own],
                [row["uniformity"] for row in own],
            ]
            seeds = ", ".join(str(row["seed"]) for row in own)
            seconds = statistics.mean(row["seconds"] for row in own)
            cells = " | ".join(mean(values) for values in columns)
            lines.append(f"| {name} | {seeds} | {cells} | {seconds:.0f} | {more} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Run what is not there yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed: parts may be made side by side")
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--table", action="store_true", help="only write the table of what is there")
    given = parser.parse_args()
    kept = given.out.with_suffix(".jsonl")
    rows = [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []
    done = {(row["setting"], row["method"], row["seed"]) for row in rows}
    common = {
        "training.epochs": given.epochs, "training.threads": 1, "training.device": "cpu", "training.tensorboard": "off",
        "training.diagnose_every": 100000, "training.checkpoint_every": 100000,
    }  # fmt: skip
    for seed in range(given.first, given.first if given.table else given.seeds):
        for setting in given.settings:
            for name, (recipe, own) in VARIANTS.items():
                if (setting, name, seed) in done:
                    continue
                found = measure(recipe, {**common, **SETTINGS[setting], **own}, seed)
                rows.append({"setting": setting, "method": name, "seed": seed, "epochs": given.epochs, **found})
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(setting, name, seed, f"{float(mrr(found['ranks']).mean()):.3f}", flush=True)
    given.out.write_text(table(rows, f"python plugins/code/benchmarks/evidence.py --out {given.out}"), "utf-8")


if __name__ == "__main__":
    main()
