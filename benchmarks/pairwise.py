"""What a loss and its gradients cost: this engine, plain torch and other libraries, in one run, in CPU seconds.

    python benchmarks/pairwise.py             all tables, written to docs/evidence/engine*.md: about half an hour
    python benchmarks/pairwise.py --quick     sizes up to 1,024; nothing is written

Every number comes from a process of its own: forward and backward, d = 128, float32, the smallest of several calls
after one that is not counted; memory is the growth of the peak during these calls. Sides of one comparison take turns,
so that what disturbs the machine disturbs both. The floor is a product of n x d and d x n in tiles that stay in the
cache, measured between the others: U = 2 n^2 d operations. One table needs 2 U (forward half a product, backward one
and a half), two tables 4 U; finished tiles that are kept save up to a quarter of it. Libraries that are not installed
are left out: pip install pytorch-metric-learning sentence-transformers; pip install --no-deps lightly.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
D = 128
SIZES = (32, 256, 1024, 4096, 16384)
REPEATS = {32: 400, 256: 100, 512: 40, 1024: 12, 4096: 5, 16384: 2, 65536: 1}
MOST = {"plain torch": 16384, "lightly": 16384, "pytorch-metric-learning": 4096, "sentence-transformers": 16384}
"""Beyond these sizes a side does not fit into the memory of a common machine."""
CUBIC = ("NT-Xent", "pytorch-metric-learning", 512)
"""It lists every positive with every negative: O(n^3)."""
Measured = dict[str, float]


def peak() -> float:
    """The largest resident set so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(what: str, side: str, n: int, threads: int) -> Measured:
    """One number of the table; called in a process of its own."""
    import torch
    from losses import LOSSES, VARIANTS

    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    if what == "floor":
        tile = min(n, 512)
        a, c, out = torch.randn(n, D), torch.randn(D, n), torch.empty(tile, tile)

        def action() -> None:
            for i in range(0, n, tile):
                for j in range(0, n, tile):
                    torch.mm(a[i : i + tile], c[:, j : j + tile], out=out)

        loss = 0.0
    else:
        made = LOSSES[what][side] if what in LOSSES else VARIANTS[what][1][side]
        leaves, function = made(n, D, generator)

        def action() -> None:
            for leaf in leaves:
                leaf.grad = None
            function(*leaves).backward()

        with torch.no_grad():
            loss = float(function(*[leaf[:64] for leaf in leaves])) if what in LOSSES and what != "SupCon" else 0.0
    gc.collect()
    before = peak()
    action()
    best, wall = float("inf"), float("inf")
    for _ in range(REPEATS[n]):
        began, cpu = time.perf_counter(), time.process_time()
        action()
        best, wall = min(best, time.process_time() - cpu), min(wall, time.perf_counter() - began)
    return {"cpu": best, "wall": wall, "peak": peak() - before, "loss": loss}


def fresh(what: str, side: str, n: int, threads: int = 1) -> Measured | None:
    """The same in a fresh process; None if the side's library is missing."""
    command = [sys.executable, __file__, "--one", what, side, str(n), str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        if "No module named" in done.stderr:
            return None
        raise SystemExit(f"{what}, {side}, {n} rows failed:\n{done.stderr}")
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{what:12} {side:40} {n:6} {threads}  {found['cpu'] * 1e3:10.2f} ms {found['peak']:8.0f} MB", file=sys.stderr
    )
    return found


def table(sizes: tuple[int, ...], rounds: int) -> list[str]:
    """Losses against their peers."""
    from losses import LOSSES

    lines = [
        "| loss | rows | here, ms | MB | floor / here | slower: plain torch | lightly | pytorch-metric-learning | "
        "sentence-transformers |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    others = ("plain torch", "lightly", "pytorch-metric-learning", "sentence-transformers")
    for loss, sides in LOSSES.items():
        for n in sizes:
            turns = rounds if n <= 4096 else 1
            best = _rounds({side: (loss, side, n) for side in sides if _fits(loss, side, n)}, turns, n)
            ours, floor = best["here"], best["floor"]
            units = 2 if loss in ("NT-Xent", "DCL", "SupCon") else 4
            cells = [_ratio(best.get(side), ours) for side in others]
            share = f"{units * floor['cpu'] / ours['cpu']:.0%}" if n >= 1024 else ""
            start = f"| {loss} | {n:,} | {ours['cpu'] * 1e3:,.2f} | {ours['peak']:.0f} | {share} |"
            lines.append(" ".join([start, *(f"{cell} |" for cell in cells)]))
    return lines


def _rounds(sides: dict[str, tuple[str, str, int]], rounds: int, n: int) -> dict[str, Measured]:
    best: dict[str, Measured] = {}
    for _ in range(rounds):
        for name, wanted in {**sides, "floor": ("floor", "", n)}.items():
            found = fresh(*wanted)
            if found is not None and (name not in best or found["cpu"] < best[name]["cpu"]):
                best[name] = {**found, "peak": max(found["peak"], best.get(name, found)["peak"])}
    return best


def _fits(loss: str, side: str, n: int) -> bool:
    return n <= (CUBIC[2] if (loss, side) == CUBIC[:2] else MOST.get(side, n))


def _ratio(theirs: Measured | None, ours: Measured) -> str:
    return "" if theirs is None else f"{theirs['cpu'] / ours['cpu']:.1f} x ({theirs['peak']:,.0f} MB)"


def variants(n: int, rounds: int) -> list[str]:
    """Relations against the plain one."""
    from losses import VARIANTS

    lines = [f"| {n:,} rows | ms | MB | against the first |", "|---|---:|---:|---:|"]
    for tables, (first, sides) in VARIANTS.items():
        best = _rounds({side: (tables, side, n) for side in sides}, rounds, n)
        for side in sides:
            found = best[side]
            ratio = found["cpu"] / best[first]["cpu"]
            lines.append(f"| {tables}: {side} | {found['cpu'] * 1e3:.0f} | {found['peak']:.0f} | {ratio:.2f} |")
    return lines


def large(rounds: int) -> list[str]:
    """65,536 rows, where nobody else fits."""
    lines = ["| 65,536 rows | s | MB |", "|---|---:|---:|"]
    for loss in ("NT-Xent", "SupCon"):
        best = _rounds({"here": (loss, "here", 65536)}, 1, 4096)["here"]
        lines.append(f"| {loss} | {best['cpu']:.1f} | {best['peak']:.0f} |")
    return lines


def threads(rounds: int) -> list[str]:
    """Wall time with one and two threads."""
    lines = ["| NT-Xent | 1 thread, ms | 2 threads, ms | faster |", "|---|---:|---:|---:|"]
    for n in (4096, 16384):
        walls = []
        for count in (1, 2):
            found = [fresh("NT-Xent", "here", n, count) for _ in range(rounds)]
            walls.append(min(each["wall"] for each in found if each is not None))
        lines.append(f"| {n:,} rows | {walls[0] * 1e3:,.0f} | {walls[1] * 1e3:,.0f} | {walls[0] / walls[1]:.2f} x |")
    return lines


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="sizes up to 1,024, nothing is written")
    parser.add_argument("--part", action="append", help="only this one: engine, engine-variants ... (may be repeated)")
    parser.add_argument("--one", nargs=4, metavar=("LOSS", "SIDE", "ROWS", "THREADS"), help="one number, as JSON")
    given = parser.parse_args()
    if given.one:
        what, side, n, count = given.one
        print(json.dumps(measure(what, side, int(n), int(count))))
        return
    if given.quick:
        print("\n".join([*table(SIZES[:3], 1), "", *variants(1024, 1)]))
        return
    parts: dict[str, Callable[[], Any]] = {
        "engine": lambda: table(SIZES, 2),
        "engine-variants": lambda: variants(4096, 2),
        "engine-large": lambda: large(1),
        "engine-threads": lambda: threads(3),
    }
    for name in given.part or parts:
        part = parts[name]
        text = "\n".join(part()) + "\n"
        print(text)
        (ROOT / "docs" / "evidence" / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
