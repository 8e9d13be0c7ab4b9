"""CPU time of CoCoSoDa's loss with queues against the authors' order of computation, and what a training step goes to.

    python plugins/code/benchmarks/speed.py --out docs/evidence/cocosoda-speed.md

One thread, CPU seconds, medians; both sides take turns on the same rows. The loss is that of a batch of 128 with queues
of 4096 rows of 768 numbers, the paper's sizes, forward and backward, from the encoder's rows on. The authors' side
makes the matrix of each of the six terms with the batch's keys and with a clone of its queue, puts the twelve together
and takes one cross-entropy. Both must have the same loss and gradients; the script checks that first. A training step
is one of code/cocosoda, and its parts are timed one after the other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from contrast_code.sampler import Bimodal
from contrast_core.assembly import assemble
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_core.memories.fifo import Queue
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.over_pairs import OverPairs
from contrast_core.registry import discover
from contrast_core.runs import find_recipe
from contrast_core.similarity import Cosine, Dot, Similarity
from contrast_core.training.context import Context
from contrast_core.training.loader import batches
from contrast_core.training.optimiser import Schedule, optimiser_for
from contrast_core.training.runtime import Runtime

BATCH, QUEUE, SIZE, TEMPERATURE = 128, 4096, 768, 0.07
TABLES = ("code", "query", "code-teacher", "query-teacher")
QUEUES = {
    "code-queue": "code-teacher", "query-queue": "query-teacher", "online-code-queue": "code",
    "online-query-queue": "query",
}  # fmt: skip


def drawn() -> dict[str, Tensor]:
    """Random rows of length one for the four tables and the four queues."""
    generator = torch.Generator().manual_seed(0)
    rows = dict.fromkeys(TABLES, BATCH) | dict.fromkeys(QUEUES, QUEUE)
    return {name: normalize(torch.randn(count, SIZE, generator=generator), dim=1) for name, count in rows.items()}


def authors(rows: Mapping[str, Tensor]) -> Callable[[], tuple[float, list[Tensor]]]:
    """Their order of computation; the queues lie transposed, (d, K), as theirs do."""
    queues = {name: rows[name].T.contiguous() for name in QUEUES}
    terms = [
        ("code", "query", "online-query-queue"), ("code", "query-teacher", "query-queue"),
        ("query", "code", "online-code-queue"), ("query", "code-teacher", "code-queue"),
        ("code", "code-teacher", "code-queue"), ("query", "query-teacher", "query-queue"),
    ]  # fmt: skip

    def step() -> tuple[float, list[Tensor]]:
        online = [rows[name].clone().requires_grad_() for name in TABLES[:2]]
        tables = {**rows, **{name: normalize(z, dim=1) for name, z in zip(TABLES, online, strict=False)}}
        blocks = []
        for anchors, keys, queue in terms:
            inside = torch.einsum("nc,mc->nm", [tables[anchors], tables[keys]])
            outside = torch.einsum("nc,ck->nk", [tables[anchors], queues[queue].clone().detach()])
            blocks.append(torch.cat([inside, outside], dim=1) / TEMPERATURE)
        loss = cross_entropy(torch.cat(blocks), torch.arange(BATCH).repeat(len(terms)))
        loss.backward()
        return float(loss.detach()), [table.grad for table in online if table.grad is not None]

    return step


def here(rows: Mapping[str, Tensor], similarity: Similarity) -> Callable[[], tuple[float, list[Tensor]]]:
    """Sampler, queues and objective of the package."""
    sampler = Bimodal(online_code_queue="online-code-queue", online_query_queue="online-query-queue")
    objective = OverPairs(InfoNCE(temperature=TEMPERATURE, similarity=similarity), sampler.gives)
    memories = {name: Queue(source, QUEUE, SIZE, columns=["group"]) for name, source in QUEUES.items()}
    for name, source in QUEUES.items():
        old = Embeddings.of(rows[name], sample=torch.arange(QUEUE) + BATCH, group=torch.arange(QUEUE) + BATCH)
        memories[name].prepare({source: old})
        memories[name].write(old)

    def step() -> tuple[float, list[Tensor]]:
        items = torch.arange(BATCH)
        online = [rows[name].clone().requires_grad_() for name in TABLES[:2]]
        units = {**rows, **{name: normalize(z, dim=1) for name, z in zip(TABLES, online, strict=False)}}
        tables = {name: Embeddings.of(units[name], sample=items, group=items) for name in TABLES}
        terms = objective(Outputs(tables, sampler({**tables, **memories}), {}))
        loss = torch.stack([term.value for term in terms.values()]).mean()
        loss.backward()
        return float(loss.detach()), [table.grad for table in online if table.grad is not None]

    return step


def seconds(action: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    action()
    return time.process_time() - start


def losses(repeats: int) -> list[str]:
    """The table of the loss."""
    rows = drawn()
    sides = {
        "authors' order of computation": authors(rows), "here, cosines": here(rows, Cosine()),
        "here, inner products": here(rows, Dot()),
    }  # fmt: skip
    (first, gradients), *others = (step() for step in sides.values())
    for value, found in others:
        torch.testing.assert_close(value, first, rtol=1e-5, atol=0)
        torch.testing.assert_close(found, gradients, rtol=1e-3, atol=1e-7)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, step in sides.items():
            taken[name].append(seconds(step))
    middle = {name: statistics.median(values) for name, values in taken.items()}
    base = next(iter(middle.values()))
    title = f"loss and gradients, B = {BATCH}, K = {QUEUE}, d = {SIZE}"
    lines = [f"| {title} | CPU ms | authors' / this |", "|---|---|---|"]
    return lines + [f"| {name} | {1000 * value:.0f} | {base / value:.2f} |" for name, value in middle.items()]


def parts(count: int) -> list[str]:
    """The table of a training step, and how long the rows took to make."""
    registry = discover()
    settings = ["training.threads=1", "training.device=cpu"]
    made = assemble(find_recipe("code/cocosoda", registry, settings), registry)
    data: Any = made.data
    kept = data.fitted()
    again = seconds(lambda: (data.adopt(kept), data.rows))
    optimizer = optimiser_for(made.pipeline, made.training)
    context = Context(made.pipeline.train(), optimizer, Schedule(optimizer, made.training, 1), Runtime(), None)
    view = made.pipeline.views["augment"]
    taken: dict[str, list[float]] = {"batch": [], "augmentation": [], "step": []}
    for number, batch in enumerate(batches(data, made.training, 0)):
        if number >= count:
            break
        items = batch["sample"]
        found = {
            "batch": seconds(lambda i=items: data.batch(i)), "augmentation": seconds(lambda b=batch: view(b)),
            "step": seconds(lambda b=batch: made.step.run(context, b)),
        }  # fmt: skip
        # The queues fill up first.
        if number >= 32:
            for name, value in found.items():
                taken[name].append(value)
    middle = {name: statistics.median(values) for name, values in taken.items()}
    whole = middle["batch"] + middle["step"]
    steps = made.training.epochs * (len(data.training_items) // made.training.batch_size)
    lines = [f"| a step of code/cocosoda, B = {made.training.batch_size} | CPU ms | share |", "|---|---|---|"]
    rows = {
        "rows of token ids out of memory": middle["batch"], "soft augmentation": middle["augmentation"],
        "tokenisation, once before training, shared out over its steps": again / steps,
        "the rest: encoders, loss, backward, update": whole - middle["batch"] - middle["augmentation"],
    }  # fmt: skip
    total = sum(rows.values())
    lines += [f"| {name} | {1000 * value:.2f} | {value / total:.1%} |" for name, value in rows.items()]
    return [*lines, "", f"Tokenisation of {len(data):,} pairs took {again:.1f} CPU s; training has {steps:,} steps."]


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--steps", type=int, default=132)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = f"python plugins/code/benchmarks/speed.py --repeats {options.repeats} --steps {options.steps}"
    text = "\n".join([f"Made by `{command}`.", "", *losses(options.repeats), "", *parts(options.steps)]) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
