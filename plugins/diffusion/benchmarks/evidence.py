"""CustomContrast's terms, one after the other, on rendered subjects: what the code holds, what the pictures show.

    python plugins/diffusion/benchmarks/evidence.py --out docs/evidence/customcontrast.md
    python plugins/diffusion/benchmarks/evidence.py --out docs/evidence/customcontrast-long.md --seeds 1 --steps 1500 \
        --variants "reconstruction only" "all, scaled"
    python plugins/diffusion/benchmarks/evidence.py --coil coil20_32.npz --cifar cifar10_mini_jpeg.npz \
        --out docs/evidence/customcontrast-coil.md --seeds 1

The last one takes photographed objects (COIL-20) on photographs (CIFAR-10's airplanes, ships and deer, as JPEG
streams in one file) in place of rendered subjects. Every variant is the recipe diffusion/customcontrast with the
weights of some terms set to 0, with the same seeds, steps and batches, and nothing is tuned. Rows are kept in a
JSON-lines file beside the table, one a run, as they come, so that an interrupted benchmark goes on where it stopped;
`--table` writes the table of what is there.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from contrast_core import runs

OFF: Mapping[str, Any] = {"objective.semantic.weight": 0.0, "objective.appearance.weight": 0.0}
PLAIN: Mapping[str, Any] = {"objective.appearance.scaling": "none"}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "reconstruction only": OFF,
    "+ CSCL": {"objective.appearance.weight": 0.0},
    "+ MACL, plain": {"objective.semantic.weight": 0.0, **PLAIN},
    "+ MACL, scaled": {"objective.semantic.weight": 0.0},
    "all, scaled": {},
}
CODE = ("Probe: subject", "Probe: background", "Probe: pose", "Same-subject neighbour", "Cosine, same subject",
        "Cosine, others", "Likeness, Spearman")  # fmt: skip
PICTURES = ("Similarity", "Controllability", "Copied background", "Copied pixels")
GUIDANCE = (1, 3, 6)
LAST = 50
"""Steps over whose mean the denoising loss is reported."""


RENDERED = "12 rendered subjects of 4 class words, held-out poses"
CHANCE = {"rendered": "subject 0.08, background 0.33, pose 0.25", "coil": "subject 0.05, background 0.33, pose 0.25"}
PLACES = {0: "in the sky", 8: "on the sea", 4: "on a meadow"}
"""CIFAR-10's classes, and what a caption says of them."""


def composites(coil: Path, cifar: Path, folder: Path) -> dict[str, Any]:
    """The section [data] for COIL-20 on photographs, which are decoded into the folder."""
    with numpy.load(cifar, allow_pickle=False) as file:
        kinds, offsets, blob = file["labels"], file["offsets"], file["blob"]
        chosen = [row for row in range(len(kinds)) if int(kinds[row]) in PLACES]
        opened = [Image.open(io.BytesIO(blob[offsets[row] : offsets[row + 1]].tobytes())) for row in chosen]
        images = numpy.stack([numpy.array(image.convert("RGB")) for image in opened])
    labels = numpy.array([list(PLACES).index(int(kinds[row])) for row in chosen])
    numpy.savez(folder / "photographs.npz", images=images, labels=labels)
    files = {"subjects": coil.absolute(), "photographs": folder / "photographs.npz"}
    return {"data": {"use": "diffusion/composites", "places": list(PLACES.values()), **files}}


def measure(settings: Mapping[str, Any], seed: int, steps: int) -> dict[str, Any]:
    """Train one variant: its scores, the mean of its last losses and the CPU seconds."""
    began = time.process_time()
    common = {
        "training.steps": steps, "training.seed": seed, "training.threads": 1, "training.device": "cpu",
        "training.tensorboard": "off", "training.diagnose_every": 100000, "training.checkpoint_every": 100000,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        run = runs.run("diffusion/customcontrast", set={**common, **settings}, out=Path(place) / "run")
        seconds = time.process_time() - began
        lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        losses = [line["terms"]["denoising"]["value"] for line in lines[-LAST:]]
    scores = {f"{s.metric} {s.split}".strip(): s.mean for found in run.scores.values() for s in found}
    return {"seconds": seconds, "denoising": statistics.mean(losses), **scores}


def shown(values: Sequence[float], digits: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def table(lines: Sequence[Mapping[str, Any]], command: str, what: str, chance: str) -> str:
    """Markdown of all rows."""
    names = [name for name in VARIANTS if any(line["variant"] == name for line in lines)]
    of = {name: [line for line in lines if line["variant"] == name] for name in names}
    facts = sorted({(line["steps"], line["variant"]) for line in lines})
    seeds = sorted({line["seed"] for line in lines})
    counted = f"seed {seeds[0]} alone"
    if len(seeds) > 1:
        counted = f"seeds {', '.join(map(str, seeds))}; mean ± standard deviation over seeds"
    judges = [f"{statistics.mean(x[f'Judge: {what}'] for x in lines):.2f}" for what in ("subject", "background")]
    made = [
        f"Made by `{command}`.", "",
        f"{what}; {facts[0][0]} steps of 24 pictures, {counted}. "
        f"Chance: {chance}. On real pictures the judges are right about the subject at "
        f"{judges[0]}, about the background at {judges[1]}.",
        "", "What the code holds:", "",
        _row(["terms", "CPU s", "denoising", *(each.lower() for each in CODE)]), _row(["---"] * (3 + len(CODE))),
    ]  # fmt: skip
    for name in names:
        scores = [shown(_of(of[name], metric)) for metric in CODE]
        seconds = shown([line["seconds"] for line in of[name]], 0)
        made.append(_row([name, seconds, shown([line["denoising"] for line in of[name]]), *scores]))
    made += ["", "What the pictures show:", "", _row(["terms", "guidance", *(each.lower() for each in PICTURES)])]
    made.append(_row(["---"] * (2 + len(PICTURES))))
    for name in names:
        for g in GUIDANCE:
            scores = [shown(_of(of[name], f"{metric} guidance {g}")) for metric in PICTURES]
            made.append(_row([name, str(g), *scores]))
    return "\n".join(made) + "\n"


def _of(lines: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    found = [key for key in lines[0] if key == metric or key == f"{metric} held-out"]
    return [line[found[0]] for line in lines] if found else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=220)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--coil", type=Path, help="COIL-20: images, subject, view_degrees")
    parser.add_argument("--cifar", type=Path, help="CIFAR-10 as JPEG streams: blob, offsets, labels")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    kept = given.out.with_suffix(".jsonl")
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    done = {(line["variant"], line["seed"], line["steps"]) for line in lines}
    place = tempfile.TemporaryDirectory()
    data = composites(given.coil, given.cifar, Path(place.name)) if given.coil and not given.table else {}
    for seed in range(0 if given.table else given.seeds):
        for name in given.variants:
            if (name, seed, given.steps) in done:
                continue
            found = measure({**data, **VARIANTS[name]}, seed, given.steps)
            line = {"variant": name, "seed": seed, "steps": given.steps, **found}
            lines.append(line)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(name, seed, f"{line['seconds']:.0f} s", file=sys.stderr, flush=True)
    place.cleanup()
    words = [f'"{word}"' if " " in word else word for word in sys.argv[1:] if word != "--table"]
    command = " ".join(["python plugins/diffusion/benchmarks/evidence.py", *words])
    what, chance = (RENDERED, CHANCE["rendered"])
    if given.coil:
        what = "The 20 objects of COIL-20 (none told by a word) on photographs of CIFAR-10, held-out poses"
        chance = CHANCE["coil"]
    given.out.write_text(table(lines, command, what, chance))


if __name__ == "__main__":
    main()
