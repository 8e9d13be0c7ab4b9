"""What a step on 8, 64 and 1,024 processes would cost: a model, this machine's rates, and a check of both.

    python benchmarks/scaling.py              docs/evidence/scaling-*.md, docs/scaling.svg: some 5 CPU minutes
    python benchmarks/scaling.py --quick      with rates of small tables, nothing is written

The model is `scaling_model.py`, what real processes send is counted by `scaling_count.py`. Rates are measured here, in
CPU seconds of one thread, each in a process of its own; an accelerator is supposed, not measured.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scaling_count
from scaling_model import DESIGNS, FLOAT, Job, Link, Rates, memory, seconds, sent, shared, simulated

from contrast_core.report import charts
from contrast_core.report.picture import save

ROOT = Path(__file__).resolve().parent.parent
LINKS = (
    Link("10 Gb/s Ethernet", 50e-6, 1.25e9),
    Link("100 Gb/s", 5e-6, 12.5e9),
    Link("NVLink class", 2e-6, 300e9),
)
PROCESSES, ITEMS, WIDTHS = (8, 64, 1024), (64, 256, 1024), (128, 512, 1024)
TIMES, SIDE_THERE = 500, 8192
"""The accelerator that is supposed: so many times one thread, with the tiles that the engine has on a GPU."""
THREAD, ACCELERATOR = "one thread", f"{TIMES} x one thread"
ROWS = ("shape", "tables", "columns", "sums", "gradients")
ENCODERS = {"25 M": 25_000_000, "300 M": 300_000_000}


def measure(n: int, d: int) -> dict[str, float]:
    """CPU seconds, forward and backward, of NT-Xent of n rows and of what it does row by row, and bytes it grew by."""
    import torch
    from losses import LOSSES, rows_of

    from contrast_core import pairwise
    from contrast_core.samplers.views import TwoViews

    torch.set_num_threads(1)
    leaves, loss = LOSSES["NT-Xent"]["here"](n, d, torch.Generator().manual_seed(0))

    def whole() -> torch.Tensor:
        return loss(*leaves)

    def row_by_row() -> torch.Tensor:
        pairs = TwoViews()({name: rows_of(leaf) for name, leaf in zip(("one", "two"), leaves, strict=True)})["pairs"]
        return pairwise.mean(pairs, pairs.positives).mean()

    loss(*[leaf[:200] for leaf in leaves]).backward()
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    best = {"seconds": math.inf, "rows": math.inf}
    for _ in range(2 if n > 8192 else 6):
        for name, action in (("seconds", whole), ("rows", row_by_row)):
            began = time.process_time()
            action().backward()
            best[name] = min(best[name], time.process_time() - began)
    return {**best, "bytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit}


def fresh(n: int, d: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(n), str(d)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{n:,} rows, d = {d}: {found['seconds']:.2f} s", file=sys.stderr)
    return found


def rates(sizes: tuple[int, int]) -> tuple[dict[int, Rates], str]:
    """Seconds a pair and a row by the larger number of rows, for each width, and their table."""
    small, large = sizes
    lines = [
        f"| d | {large:,} rows, s | a pair, ns | a row, µs | {small:,} rows, s | model, s | {large:,} rows grew by, MB "
        "| model, MB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    found = {}
    for d in WIDTHS:
        one, two = fresh(small, d), fresh(large, d)
        of = found[d] = Rates((two["seconds"] - two["rows"]) / large**2, two["rows"] / large)
        cells = f"{two['seconds']:.2f} | {of.pair * 1e9:.2f} | {of.row * 1e6:.2f} | {one['seconds']:.2f}"
        # The views' own table was there before.
        more = memory(Job(1, large, d), "shared") - large * d * FLOAT
        grew = f"{two['bytes'] / 1e6:,.0f} | {more / 1e6:,.0f}"
        lines.append(f"| {d:,} | {cells} | {of.pair * small**2 + of.row * small:.2f} | {grew} |")
    return found, "\n".join(lines) + "\n"


def sizes() -> str:
    """Bytes sent and held by each process."""
    lines = [
        "| processes | items each | rows n | d | tables | sums | gradients | parameters, 25 M | 300 M | held, shared "
        "| held, ring | n x n |",
        "|---:|" + "---:|" * 11,
    ]
    for p in PROCESSES:
        for items in ITEMS:
            for d in (128, 1024):
                job = Job(p, 2 * items * p, d)
                phases = shared(job, Rates(0, 0))
                parts = [sent(phases, "tables", "columns"), sent(phases, "sums"), sent(phases, "gradients")]
                parts += [2 * (p - 1) / p * 4 * size for size in ENCODERS.values()]
                parts += [memory(job, "shared"), memory(job, "ring"), 4.0 * job.pairs]
                lines.append(f"| {p:,} | {items:,} | {job.rows:,} | {d:,} | " + " | ".join(map(_bytes, parts)) + " |")
    return "\n".join(lines) + "\n"


def times(of: Rates, d: int = 512) -> str:
    """Seconds of sending and computing in each design."""
    lines = [
        "| processes | items each | link | sending rows | parameters, 25 M | 300 M "
        "| computing: shared | unshared | ring | step: shared | unshared | ring |",
        "|---:|---:|---|" + "---:|" * 9,
    ]
    for p in PROCESSES:
        for items in ITEMS:
            for link in LINKS:
                job = Job(p, 2 * items * p, d)
                made = {name: design(job, of) for name, design in DESIGNS.items()}
                parts = [seconds(made["shared"], link, *ROWS)]
                parts += [2 * (p - 1) * link.seconds(4 * size / p) for size in ENCODERS.values()]
                parts += [sum(phase.steps * phase.compute for phase in phases) for phases in made.values()]
                parts += [seconds(phases, link) for phases in made.values()]
                lines.append(f"| {p:,} | {items:,} | {link.name} | " + " | ".join(map(_seconds, parts)) + " |")
    return "\n".join(lines) + "\n"


def crossovers(kinds: Mapping[str, Rates], d: int = 512) -> str:
    """From how many rows on sharing pays, and from how many the ring does."""
    lines = ["| computing | link | " + " | ".join(f"P = {p:,}" for p in PROCESSES) + " |", "|---|---|---:|---:|---:|"]
    for kind, of in kinds.items():
        for link in LINKS:
            cells = []
            for p in PROCESSES:
                first = _from(p, d, of, link, "shared", "unshared")
                cells.append(f"{first:,}" if first else "never")
            lines.append(f"| {kind} | {link.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _from(p: int, d: int, of: Rates, link: Link, better: str, worse: str) -> int | None:
    """The least number of rows from which on, up to 16 million, one design is always faster."""
    found = None
    k = 1
    while 2 * p * k <= 2**24:
        job = Job(p, 2 * p * k, d)
        if seconds(DESIGNS[better](job, of), link) < seconds(DESIGNS[worse](job, of), link):
            found = found or job.rows
        else:
            found = None
        k = max(k + 1, round(k * 1.05))
    return found


def simulations(of: Rates, d: int = 512, items: int = 256) -> str:
    """The closed form, the same step by step, and with processes and messages that are not alike."""
    link = LINKS[1]
    lines = [
        "| design | processes | closed form, s | simulated, s | jitter 10 % | jitter 30 % |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, design in DESIGNS.items():
        for p in PROCESSES:
            phases = design(Job(p, 2 * items * p, d), of)
            exact = simulated(phases, p, link)
            slower = []
            for jitter in (0.1, 0.3):
                draws = [simulated(phases, p, link, jitter, np.random.default_rng(seed)) for seed in range(5)]
                slower.append(f"{statistics.fmean(draws) / exact:.2f} x")
            lines.append(f"| {name} | {p:,} | {seconds(phases, link):.4g} | {exact:.4g} | " + " | ".join(slower) + " |")
    return "\n".join(lines) + "\n"


def picture(kinds: Mapping[str, Rates], path: Path, d: int = 512, items: int = 256) -> None:
    """Seconds of a step, without the encoder, over the number of processes."""
    powers = range(1, 11)
    ticks = [(float(k), f"{2**k:,}") for k in powers if k % 2 == 0]
    made = []
    for kind, of in kinds.items():
        lines = [
            charts.Line(
                name, [*powers], [seconds(design(Job(2**k, 2 * items * 2**k, d), of), LINKS[1]) for k in powers]
            )
            for name, design in DESIGNS.items()
        ]
        what = f"Seconds of a step, {kind}"
        made.append(charts.figure(what, "", lines, x_label="processes", x_ticks=ticks, log=True, key=True, dotted=True))
    save(path, made, [*DESIGNS])


def _bytes(size: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e3:.3g} kB"


def _seconds(value: float) -> str:
    if value >= 1:
        return f"{value:,.3g} s" if value < 1000 else f"{value:,.0f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def main() -> None:
    """Measure, compute, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rates of 512 and 1,024 rows, nothing is written")
    parser.add_argument("--measure", nargs=2, type=int, metavar=("ROWS", "D"), help="one number, as JSON")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*given.measure)))
        return
    found, table = rates((512, 1024) if given.quick else (4096, 16384))
    thread = found[512]
    kinds = {THREAD: thread, ACCELERATOR: thread.faster(TIMES, SIDE_THERE)}
    parts = {
        "rates": table,
        "bytes": sizes(),
        "seconds": times(thread),
        "seconds-accelerator": times(kinds[ACCELERATOR]),
        "crossover": crossovers(kinds),
        "simulation": simulations(thread),
        "check": scaling_count.table(),
    }
    for name, text in parts.items():
        print(f"{name}\n\n{text}")
        if not given.quick:
            (ROOT / "docs" / "evidence" / f"scaling-{name}.md").write_text(text, encoding="utf-8")
    if not given.quick:
        picture(kinds, ROOT / "docs" / "scaling.svg")


if __name__ == "__main__":
    main()
