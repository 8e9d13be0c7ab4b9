"""SepCLR's loss on the engine against the authors' order of computation; both sides in one run.

    python plugins/medical/benchmarks/speed.py --out docs/evidence/sepclr-speed.md

The authors list all distances for the uniformities and form n x n matrices of both kernels for the joint entropy. CPU
seconds of forward and backward over two views, one thread; memory is what either side adds to the process's largest
size, each in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_medical.objective import SepCLR

ROWS, WIDTH = (256, 1024, 4096, 8192), 32


def tables(count: int) -> dict[str, Embeddings]:
    """Two views of random rows, every second one of the target."""
    generator = torch.Generator().manual_seed(0)
    columns = {"sample": torch.arange(count), "role": torch.arange(count) % 2}
    return {
        view: Embeddings(
            {name: torch.randn(count, WIDTH, generator=generator).requires_grad_() for name in ("common", "salient")},
            columns,
        )
        for view in ("one", "two")
    }


def here(views: Mapping[str, Embeddings]) -> Tensor:
    """The component."""
    total: Tensor = sum(term.weight * term.value for term in SepCLR()(Outputs(views, {}, {})).values())
    return total


def there(views: Mapping[str, Embeddings]) -> Tensor:
    """The same loss from lists and matrices of distances."""
    target = views["one"]["role"] == 1
    common = [normalize(view["common"], dim=1) for view in views.values()]
    salient = [view["salient"] for view in views.values()]
    anchored = [torch.where(target[:, None], rows, 0.0) for rows in salient]

    def align(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).norm(dim=1).square().mean()

    def uniform(a: Tensor) -> Tensor:
        return torch.pdist(a).square().neg().exp().mean().log()

    def joint(c: Tensor, s: Tensor) -> Tensor:
        return (torch.cdist(s, s).square().neg().exp() * torch.cdist(c, c).square().neg().exp()).mean(1).log().mean()

    total = align(*common) + sum(uniform(rows) for rows in common)
    total = total + align(*(rows[target] for rows in salient)) + sum(uniform(rows) for rows in anchored)
    total = total + 50 * sum(rows[~target].square().sum(1).mean() for rows in salient)
    return total + 5 * sum(joint(c, s) for c, s in zip(common, anchored, strict=True))


SIDES = {"authors": there, "engine": here}


def measured(side: str, count: int) -> tuple[float, float, float]:
    """CPU seconds of the fastest run after one that does not count, MiB added, and the loss."""
    torch.set_num_threads(1)
    loss = SIDES[side]
    loss(tables(8)).backward()
    views = tables(count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    value = loss(views)
    value.backward()
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    taken = []
    for _ in range(max(3, 4000 // count)):
        start = time.process_time()
        loss(views).backward()
        taken.append(time.process_time() - start)
    return min(taken), added, float(value.detach())


def main() -> None:
    """Measure each side in a process of its own, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--rows", type=int)
    given = parser.parse_args()
    if given.side:
        print(*measured(given.side, given.rows))
        return
    said = [
        f"Made by `python plugins/medical/benchmarks/speed.py --out {given.out}`.", "",
        "| rows a view | authors, CPU s | engine, CPU s | ratio | authors, MiB | engine, MiB | losses differ by |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for count in ROWS:
        found = {}
        for side in SIDES:
            command = [sys.executable, __file__, "--side", side, "--rows", str(count)]
            found[side] = [float(x) for x in subprocess.check_output(command, text=True).split()]
        (slow, much, one), (fast, little, two) = found["authors"], found["engine"]
        apart = abs(one - two) / abs(two)
        said.append(
            f"| {count:,} | {slow:.3f} | {fast:.3f} | {slow / fast:.1f} | {much:.0f} | {little:.0f} | {apart:.0e} |"
        )
    said += ["", f"Two views, {WIDTH} common and {WIDTH} salient numbers a row, forward and backward."]
    given.out.write_text("\n".join(said) + "\n")


if __name__ == "__main__":
    main()
