"""CPU seconds of MCLRec's training step here, against the order of computation of the authors' code, in one run.

    python plugins/recommendation/benchmarks/speed.py [FILE] [--batches 8] [--out TABLE.md]

FILE holds interactions, for example amazon_beauty.txt (github.com/QinHsiu/MCLRec, dataset/Amazon_Beauty); without it
they are MovieLens 100K. One thread, batches of 256, histories of up to 50 items; both sides start from the same weights
and take turns on the same batches, and the median of a batch's CPU seconds counts.

The authors' side: every sequence padded to 50, three forward passes an update, all queries of all blocks, torch's
dropout, a graph of the encoder in the augmenters' update too, and 21 masks a batch that are filled by loops in Python.
Without dropout both sides must have the same losses; the script checks that first.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from contrast_core.assembly import assemble
from contrast_core.pipeline import total
from contrast_core.registry import discover
from contrast_core.runs import find_recipe
from contrast_core.training.context import Context
from contrast_core.training.loader import batches, batches_per_epoch
from contrast_core.training.optimiser import Schedule, optimiser_for
from contrast_core.training.runtime import Runtime
from contrast_recommendation.dropout import STEPS, Dropout

RECIPE, BETA, GAMMA = "recommendation/mclrec-beauty", 0.05, 0.1


class Here:
    """The package: pipeline and step of the recipe."""

    def __init__(self, settings: list[str]):
        registry = discover()
        self.parts = assemble(find_recipe(RECIPE, registry, settings), registry)
        pipeline, training = self.parts.pipeline, self.parts.training
        optimizer = optimiser_for(pipeline, training)
        self.context = Context(pipeline.train(), optimizer, Schedule(optimizer, training, 1), Runtime(), None)

    def step(self, batch: Any) -> float:
        """One batch; the loss of the last encoder update."""
        return float(total(self.parts.step.run(self.context, batch)).detach())


class Authors:
    """The authors' order of computation, on copies of the same weights."""

    def __init__(self, here: Here):
        self.encoder = with_torch_dropout(deepcopy(here.parts.pipeline.encoder))
        self.augmenters = deepcopy(here.parts.pipeline.late_views["augmenters"].augmenters)
        self.of_encoder, self.of_augmenters = (
            torch.optim.Adam(part.parameters(), lr=1e-3) for part in (self.encoder, self.augmenters)
        )

    def encode(self, items: Tensor, length: Tensor) -> Tensor:
        """All places of all rows through all blocks."""
        encoder, places = self.encoder, torch.arange(items.shape[1])
        x = encoder.item_embedding(items) + encoder.position_embedding(places)
        x = encoder.dropout(encoder.LayerNorm(x))
        visible = (items > 0)[:, None, :] & (places <= places[:, None])
        for block in encoder.trm_encoder["layer"]:
            x = block(x, visible)
        return x[torch.arange(len(x)), length - 1]

    def contrast(self, batch: Any, views: Any) -> Tensor:
        """L_cl2 + 0.1 R; the term between h_1 and h_2 is computed too, with weight 0."""
        one = self.encode(views["item_seq_one"], views["length_one"])
        two = self.encode(views["item_seq_two"], views["length_two"])
        z_one, z_two = self.augmenters[0](one), self.augmenters[1](two)
        couples = [(one, z_two), (two, z_one), (z_one, z_two)]
        loss = 0.0 * nt_xent(*scores(one, two))
        return loss + sum(nt_xent(*scores(*c)) + GAMMA * margin(*scores(*c)) for c in couples)

    def update_encoder(self, batch: Any, views: Any) -> float:
        """Next item and contrast, for the encoder."""
        logits = self.encode(batch["item_seq"], batch["length"]) @ self.encoder.item_embedding.weight.T
        loss = cross_entropy(logits, batch["target"]) + BETA * self.contrast(batch, views)
        self.of_encoder.zero_grad()
        loss.backward()
        self.of_encoder.step()
        return float(loss.detach())

    def step(self, batch: Any, views: Any) -> float:
        """Encoder, augmenters, encoder; the loss of the last."""
        self.update_encoder(batch, views)
        self.of_augmenters.zero_grad()
        self.contrast(batch, views).backward()
        self.of_augmenters.step()
        return self.update_encoder(batch, views)


def with_torch_dropout(module: nn.Module) -> Any:
    """The module with torch's dropout in place of ours."""
    for parent in [*module.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, Dropout):
                setattr(parent, name, nn.Dropout(child.dropped / STEPS))
    return module


def scores(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """(2 B, 1) positives and (2 B, 2 B - 2) negatives, by a mask that a loop fills."""
    n, rows = len(one), torch.cat([one, two])
    every = rows @ rows.T
    mask = torch.ones(2 * n, 2 * n, dtype=torch.bool).fill_diagonal_(False)
    for i in range(n):
        mask[i, n + i] = mask[n + i, i] = False
    positive = torch.cat([every.diagonal(n), every.diagonal(-n)])[:, None]
    return positive, every[mask].reshape(2 * n, -1)


def nt_xent(positive: Tensor, negative: Tensor) -> Tensor:
    """Cross-entropy with the positive as class 0."""
    return cross_entropy(torch.cat([positive, negative], 1), torch.zeros(len(positive), dtype=torch.int64))


def margin(positive: Tensor, negative: Tensor) -> Tensor:
    """The regulariser by its two rectified means."""
    hardest = negative.max(1, keepdim=True).values
    low, high = torch.minimum(positive, hardest), torch.maximum(positive, hardest)
    return (positive - low).relu().mean() + (high - negative).relu().mean()


def seconds(action: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    action()
    return time.process_time() - start


def settings(file: Path | None, *more: str) -> list[str]:
    """Settings of the recipe for a file."""
    if file is None:
        return ["data.required=false", "training.device=cpu", *more]
    return [f"data.path={file.absolute()}", "training.device=cpu", *more]


def losses_agree(file: Path | None) -> tuple[float, float]:
    """The last loss of one batch on both sides, without dropout; raises SystemExit if they differ."""
    here = Here(settings(file, "encoder.dropout=0", "encoder.attention_dropout=0"))
    there = Authors(here)
    batch = next(iter(batches(here.parts.data, here.parts.training, 0)))
    torch.manual_seed(0)
    views = here.context.draw_views(batch)
    expected = there.step(batch, views)
    torch.manual_seed(0)
    found = here.step(batch)
    if abs(found - expected) > 1e-4 * abs(expected):
        raise SystemExit(f"The two sides have different losses: {found} here, {expected} there.")
    return found, expected


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found, expected = losses_agree(options.file)
    here = Here(settings(options.file))
    there = Authors(here)
    measured: dict[str, list[float]] = {"here": [], "authors": []}
    for number, batch in enumerate(batches(here.parts.data, here.parts.training, 0)):
        # The first batch warms up.
        views = here.context.draw_views(batch)
        found_here = seconds(lambda b=batch: here.step(b))
        found_there = seconds(lambda b=batch, v=views: there.step(b, v))
        if number:
            measured["here"].append(found_here)
            measured["authors"].append(found_there)
        if number >= options.batches:
            break
    count = batches_per_epoch(here.parts.data, here.parts.training)
    ours, theirs = statistics.median(measured["here"]), statistics.median(measured["authors"])
    command = "python plugins/recommendation/benchmarks/speed.py"
    lines = [
        f"Made by `{command} {options.file.name if options.file else ''} --batches {options.batches}`.",
        "",
        f"| {options.file.stem if options.file else 'MovieLens 100K'}, {count} batches of 256 | CPU s a batch | "
        "CPU minutes an epoch |",
        "|---|---|---|",
        f"| authors' order of computation | {theirs:.2f} | {theirs * count / 60:.1f} |",
        f"| here | {ours:.2f} | {ours * count / 60:.1f} |",
        f"| ratio | {theirs / ours:.1f} | |",
        "",
        f"Without dropout the last loss of the first batch is {found:.5f} here and {expected:.5f} there.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
