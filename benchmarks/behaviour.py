"""What an objective and its temperature do to an embedding: real runs on handwritten digits, tables and pictures.

    python benchmarks/behaviour.py            docs/evidence/behaviour.md, docs/objectives/*.svg: some 8 CPU minutes
    python benchmarks/behaviour.py --quick    one seed, two epochs, nothing is written

Every run is the recipe core/digits-simclr (or -supcon) with another objective. Uniformity, tolerance, effective rank
and spectrum are those of z, the 64 numbers that the objective sees, of all 1,797 images without augmentation; the five
nearest neighbours are looked for among h, the 256 numbers before the projection head. Cells hold the mean and the
deviation over seeds.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrast_core import Embeddings
from contrast_core.assembly import assemble
from contrast_core.diagnostics import effective_rank, spectrum, tolerance, uniformity
from contrast_core.evaluation.neighbours import KNN
from contrast_core.registry import Registry, discover
from contrast_core.report import charts
from contrast_core.report.picture import save
from contrast_core.runs import find_recipe
from contrast_core.settings import as_settings
from contrast_core.training.embedding import embed_all
from contrast_core.training.fit import Trainer

ROOT = Path(__file__).resolve().parent.parent
PAGES, EVIDENCE = ROOT / "docs" / "objectives", ROOT / "docs" / "evidence"
SEEDS, EPOCHS = (0, 1, 2), 40
TEMPERATURES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
SWEPT: Mapping[str, tuple[dict[str, Any], Sequence[float]]] = {
    "InfoNCE": ({"use": "core/infonce"}, TEMPERATURES),
    # Six times as slow as InfoNCE at this size, so at fewer temperatures.
    "HardContrastive, half of the negatives": ({"use": "core/hard-contrastive", "fraction": 0.5}, (0.1, 0.4, 1.0)),
}
COMPARED: Mapping[str, tuple[str, dict[str, Any]]] = {
    "InfoNCE": ("simclr", {"use": "core/infonce", "temperature": 0.2}),
    "DCL": ("simclr", {"use": "core/dcl", "temperature": 0.2}),
    "DHEL": ("simclr", {"use": "core/dhel", "temperature": 0.2}),
    "SupCon": ("supcon", {"use": "core/supcon", "temperature": 0.2}),
    "Triplet": ("supcon", {"use": "core/triplet", "margin": 0.2, "mining": "hard"}),
    "BarlowTwins": ("simclr", {"use": "core/barlow-twins"}),
    "VICReg": ("simclr", {"use": "core/vicreg"}),
    "HardContrastive, a tenth": ("simclr", {"use": "core/hard-contrastive", "fraction": 0.1, "temperature": 1.0}),
}
DRAWN = ("InfoNCE", "DCL", "DHEL", "SupCon", "Triplet", "BarlowTwins", "VICReg")
"""Whose spectra are drawn: the report has seven colours."""
MEASURES = {
    "uniformity": ("Uniformity of z", "lower is more even"),
    "tolerance": ("Tolerance: mean cosine of z within a class", "higher keeps classes together"),
    "rank": ("Effective rank of z, of 64", "how many directions are in use"),
    "neighbours": ("Accuracy of 5 nearest neighbours in h", "on test images, per cent"),
}
Found = dict[str, float]


def train(
    registry: Registry, recipe: str, objective: Mapping[str, Any], seed: int, epochs: int
) -> tuple[Found, Tensor]:
    """One run's numbers, and the spectrum of its z."""
    plan = {"seed": seed, "epochs": epochs, "threads": 1, "device": "cpu", "tensorboard": "off"}
    settings = as_settings({"objective.contrast": {**objective}, "training": {**plan, "diagnose_every": 10**6}})
    composition = assemble(find_recipe(f"core/digits-{recipe}", registry, settings), registry)
    with tempfile.TemporaryDirectory() as folder:
        Trainer(composition, Path(folder)).run()
    pipeline, data = composition.pipeline.eval(), composition.data
    with torch.no_grad():
        z = pipeline.encode(data.batch(torch.arange(len(data))))["one"].z
    h: Embeddings = embed_all(pipeline, data, 256)
    accuracy = KNN().evaluate(h, data, torch.Generator())[0].mean
    values = spectrum(z)
    numbers = {
        "uniformity": uniformity(z),
        "tolerance": tolerance(z, h["label"]),
        "rank": effective_rank(z),
        "neighbours": 100 * accuracy,
        "directions": float((values.square().cumsum(0) < 0.9 * values.square().sum()).sum() + 1),
    }
    print(*objective.values(), seed, {name: round(value, 3) for name, value in numbers.items()}, file=sys.stderr)
    return numbers, values


def cell(runs: Sequence[Found], name: str, digits: int) -> str:
    """Mean and deviation over seeds."""
    values = [each[name] for each in runs]
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"


def row(label: str, runs: Sequence[Found]) -> str:
    """A line of a table."""
    digits = {"uniformity": 2, "tolerance": 3, "rank": 1, "directions": 1, "neighbours": 1}
    return f"| {label} | " + " | ".join(cell(runs, name, many) for name, many in digits.items()) + " |"


def sweep(found: Mapping[str, Mapping[float, Sequence[Found]]]) -> list[Any]:
    """A chart for each measure over the temperature."""
    named = [(math.log2(t), f"{t:g}") for t in TEMPERATURES]
    made = []
    for name, (title, reading) in MEASURES.items():
        lines = [
            charts.Line(of, [math.log2(t) for t in runs], [statistics.fmean(r[name] for r in runs[t]) for t in runs])
            for of, runs in found.items()
        ]
        made.append(charts.figure(title, reading, lines, x_label="temperature", x_ticks=named, key=True, dotted=True))
    return made


def spectra(found: Mapping[str, Tensor]) -> Any:
    """Singular values by rank, each objective's largest being 1, on one plane."""
    lines = []
    for name, values in found.items():
        # Below this float32 holds only rounding.
        kept = (values / values[0])[values > 1e-6 * values[0]].tolist()
        lines.append(charts.Line(name, [float(k) for k in range(1, len(kept) + 1)], kept))
    return charts.figure("Singular values of z, the largest 1", "", lines, x_label="direction", log=True, key=True)


def main() -> None:
    """Run, and write tables and pictures."""
    quick = "--quick" in sys.argv[1:]
    seeds, epochs = (SEEDS[:1], 2) if quick else (SEEDS, EPOCHS)
    registry = discover(allowed="core")
    swept = {
        name: {
            t: [train(registry, "simclr", {**objective, "temperature": t}, seed, epochs)[0] for seed in seeds]
            for t in temperatures
        }
        for name, (objective, temperatures) in SWEPT.items()
    }
    compared = {
        name: [train(registry, recipe, objective, seed, epochs) for seed in seeds]
        for name, (recipe, objective) in COMPARED.items()
    }
    head = "| uniformity | tolerance | effective rank | directions with 90 % of the variance | neighbours, % |"
    lines = [f"| objective, temperature {head}", "|---|---:|---:|---:|---:|---:|"]
    lines += [row(f"{name}, {t:g}", runs) for name, each in swept.items() for t, runs in each.items()]
    lines += ["", f"| objective {head}", "|---|---:|---:|---:|---:|---:|"]
    lines += [row(name, [numbers for numbers, _ in runs]) for name, runs in compared.items()]
    table = "\n".join(lines) + "\n"
    print(table)
    if quick:
        return
    (EVIDENCE / "behaviour.md").write_text(table, encoding="utf-8")
    save(PAGES / "infonce.svg", sweep({"InfoNCE": swept["InfoNCE"]}), ())
    save(PAGES / "hard-contrastive.svg", sweep(swept), [*swept])
    mean = {name: torch.stack([values for _, values in compared[name]]).mean(0) for name in DRAWN}
    save(PAGES / "spectra.svg", [spectra(mean)], [*mean])
    for name in DRAWN[1:]:
        two = {DRAWN[0]: mean[DRAWN[0]], name: mean[name]}
        save(PAGES / f"{COMPARED[name][1]['use'].removeprefix('core/')}.svg", [spectra(two)], [*two])


if __name__ == "__main__":
    main()
