"""One of several processes: its share of the rows through every objective, against one process with all rows.

    python one_process.py RENDEZVOUS RANK PROCESSES RESULTS

It writes, for every case, by how much loss and gradients differ, in the unit of the largest gradient.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from contrast_core import pairwise
from contrast_core.distributed import average_gradients
from contrast_core.embeddings import Embeddings
from contrast_core.encoders.momentum import Momentum
from contrast_core.interfaces import Encoder, Flow, Memory, Objective, Outputs, PairSampler, Term
from contrast_core.memories.clustered import Clusters
from contrast_core.memories.fifo import Queue as QueueMemory
from contrast_core.memories.keyed import Keyed, KeyedQueues
from contrast_core.pairs import Pairs
from contrast_core.registry import discover
from contrast_core.relations import same
from contrast_core.samplers.class_pairs import ClassPairs
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.labels import Labels
from contrast_core.samplers.near_labels import NearLabels
from contrast_core.samplers.prototypes import Prototypes
from contrast_core.samplers.queue import Queue
from contrast_core.samplers.ranking import Ranking
from contrast_core.samplers.teacher import TeacherQueue, TeacherViews
from contrast_core.samplers.views import TwoViews
from contrast_core.training.processes import Together

SAMPLES, WIDTH, TILE, CLASSES = 41, 6, 16, 5
VIEWS = ("one", "two", "three")


class Net(Encoder):
    """One layer for all views; every view is a table with sample, label and grade."""

    gives = (*(name for view in VIEWS for name in (view, f"{view}.label")), "classes")
    embedding = "one"
    shared = ("classes",)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH).double()
        self.classes = nn.Linear(WIDTH, CLASSES, bias=False).double()

    def forward(self, flow: Flow) -> dict[str, Embeddings]:
        """Tables of the views."""
        columns = {name: flow[name] for name in ("sample", "label", "grade")}
        classes = Embeddings.of(self.classes.weight, label=torch.arange(CLASSES))
        views = {view: Embeddings.of(self.layer(flow["x"][:, k]), **columns) for k, view in enumerate(VIEWS)}
        return {**views, "classes": classes}


class ToClasses(PairSampler):
    """Rows against the classes that every process holds."""

    def forward(self, flow: Flow) -> dict[str, Pairs]:
        """The own class attracts."""
        return {"pairs": Pairs(flow["one"], flow["classes"], same("label"), ~same("label"))}


def batch() -> dict[str, Tensor]:
    """Rows with views, labels of unequal classes (some unknown) and grades."""
    make = torch.Generator().manual_seed(3)
    label = torch.randint(0, CLASSES, (SAMPLES,), generator=make)
    # The last share has no labels at all, so that valid anchors are spread unevenly.
    label[-9:] = -1
    grade = torch.randint(0, 6, (SAMPLES,), generator=make).double()
    x = torch.randn(SAMPLES, len(VIEWS), WIDTH, generator=make, dtype=torch.float64)
    return {"x": x, "sample": torch.arange(SAMPLES), "label": label, "grade": grade}


def shares(processes: int) -> list[slice]:
    """Uneven shares of the items."""
    ends = {1: [SAMPLES], 2: [11, SAMPLES], 3: [3, 30, SAMPLES]}[processes]
    return [slice(start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)]


class InTiles(Objective):
    """The engine's statistics in small tiles, so that every process has some of them."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self.log_temperature = nn.Parameter(torch.tensor(-1.5, dtype=torch.float64))

    def forward(self, outputs: Outputs) -> Term:
        """One loss from contrast, two-sided contrast or a softmax mean."""
        pairs, t = outputs.pairs["pairs"], self.log_temperature.exp()
        both = pairs.positives | pairs.negatives
        if self.kind == "softmax mean":
            return Term(pairwise.softmax_mean(None, pairs, pairs.negatives, temperature=t, tile=TILE).mean(), 1)
        found = [pairwise.contrast(pairs, both, temperature=t, tile=TILE)]
        if self.kind == "two sides":
            found = list(pairwise.two_sided_contrast(pairs, both, temperature=t, tile=TILE))
        if self.kind == "huge logits":
            found = [pairwise.contrast(pairs, both, temperature=t / 1000, tile=TILE)]
        terms = [(c.denominator - c.positive)[c.denominator.isfinite()].mean() for c in found]
        return Term(torch.stack(terms).sum(), 1)


Case = tuple[Callable[[], Objective | None], Callable[[], PairSampler | None], dict[str, Callable[[], Memory]]]
NO_MEMORY: dict[str, Callable[[], Memory]] = {}
TWO = lambda: TwoViews(("one", "two"))  # noqa: E731
THREE = lambda: TwoViews(VIEWS)  # noqa: E731
BY_LABEL = lambda: Labels(("one", "two"))  # noqa: E731
GRADED = lambda: NearLabels(("one", "two"))  # noqa: E731

SAMPLER_OF: dict[str, Callable[[], PairSampler | None]] = {
    "supcon": BY_LABEL, "pairwise-ntxent": BY_LABEL, "triplet": BY_LABEL, "multi-similarity": BY_LABEL, "nca": BY_LABEL,
    "metric-learning": BY_LABEL, "cacr": THREE, "kcl": THREE, "mean-of-others": THREE, "mv-cl1": THREE,
    "mv-cl2": THREE, "mv-dhel": THREE, "mv-infonce": THREE, "pairwise-views": THREE, "poly-view": THREE,
    "momentum-cacr": lambda: TeacherViews(VIEWS), "rank-n-contrast": GRADED, "weighted-supcon": GRADED,
    "protonce": lambda: Prototypes("one", "prototypes", assigned="one"),
    "barlow-twins": lambda: None, "vicreg": lambda: None, "uniformity": lambda: None, "lightly": lambda: None,
    "multiple-negatives-ranking": lambda: Ranking("one", "two", ["three"]),
}  # fmt: skip
ARGUMENTS: dict[str, dict[str, Any]] = {
    "uniformity": {"table": "one"}, "hard-contrastive": {"top_k": 5}, "hard-simple": {"top_k": 5},
    "metric-learning": {"loss": "SupConLoss", "pairs": "pairs"}, "lightly": {"loss": "NTXentLoss"},
    "rank-n-contrast": {"label": "grade"}, "weighted-supcon": {"label": "grade"}, "over-pairs": {"pairs": ["pairs"]},
}  # fmt: skip


def cases() -> dict[str, Case]:
    """Every registered objective of the core with pairs it is made for, and the memories."""
    registry = discover(allowed="core")
    found: dict[str, Case] = {}
    clusters = {"prototypes": lambda: Clusters("one", [3, 4], temperature=0.3)}
    for component in registry.of_kind("objective"):
        name = component.name.partition("/")[2]

        def make(component: Any = component, name: str = name) -> Objective:
            arguments = dict(ARGUMENTS.get(name, {}))
            if name in ("pairwise-views", "over-pairs"):
                arguments["objective"] = registry.component("objective", "core/infonce").load()()
            objective: Objective = component.load()(**arguments)
            return objective

        found[name] = (make, SAMPLER_OF.get(name, TWO), clusters if name == "protonce" else NO_MEMORY)
    infonce = registry.component("objective", "core/infonce").load()
    for kind in ("one side", "two sides", "softmax mean", "huge logits"):
        found[f"tiles: {kind}"] = (lambda kind=kind: InTiles(kind), TWO, NO_MEMORY)
        found[f"tiles of two tables: {kind}"] = (lambda kind=kind: InTiles(kind), lambda: Cross(), NO_MEMORY)
        found[f"tiles by label: {kind}"] = (lambda kind=kind: InTiles(kind), BY_LABEL, NO_MEMORY)
        found[f"tiles against a shared table: {kind}"] = (lambda kind=kind: InTiles(kind), ToClasses, NO_MEMORY)
    queues: dict[str, Callable[[], Memory]] = {
        "queue": lambda: QueueMemory("two-teacher", 16, WIDTH),
        "keyed": lambda: Keyed("two-teacher", SAMPLES, WIDTH, when="after-update"),
        "keyed queues": lambda: KeyedQueues("two-teacher", "view_of", 2, 8, WIDTH, when="after-update"),
    }
    for name, memory in queues.items():
        found[name] = (infonce, lambda: Queue("one", "two-teacher", "memory"), {"memory": memory})
    found["several views and a queue"] = (
        lambda: registry.component("objective", "core/cacr").load()(negatives="all", detach_weights=True),
        lambda: TeacherQueue(VIEWS, "memory"), {"memory": queues["queue"]},
    )  # fmt: skip
    found["class pairs"] = (
        lambda: registry.component("objective", "core/pairwise-ntxent").load()(), lambda: ClassPairs(), NO_MEMORY,
    )  # fmt: skip
    return found


@cache
def together() -> Together:
    """The processes of this test."""
    return Together("gloo", whole=False)


def steps(case: Case, flow: dict[str, Tensor], mine: slice | None) -> list[Tensor]:
    """Loss, gradients and memories of three steps of gradient descent; `mine` is this process's share, if any."""
    torch.manual_seed(0)
    encoder = Momentum(Net(), momentum=0.5)
    encoder.prepare(flow)
    encoder.double()
    objective, sampler = case[0](), case[1]()
    assert objective is not None
    memories = {name: make().double() for name, make in case[2].items()}
    parts = nn.ModuleList([part for part in (objective, sampler, *memories.values()) if part is not None]).double()
    results = []
    for step in range(3):
        share = {name: value if mine is None else value[mine] for name, value in flow.items()}
        tables = dict(encoder(share))
        if mine is not None:
            tables = dict(together().whole(tables, (), encoder.shared))
        columns = {name: {"view_of": table["sample"] % 2} for name, table in tables.items() if "sample" in table}
        tables = {name: table.with_columns(**columns.get(name, {})) for name, table in tables.items()}
        whole: dict[str, Any] = {**tables, **memories}
        for part in parts:
            if step == 0:
                part.prepare({**whole, "pairs": None})
        for memory in memories.values():
            if memory.when == "before-pairs":
                memory.write(tables[memory.source].detach())
        torch.manual_seed(step)
        pairs = {} if sampler is None else sampler(whole)
        found = objective(Outputs(tables, pairs, whole))
        terms = [found] if isinstance(found, Term) else list(found.values())
        loss = torch.stack([term.weight * term.value for term in terms]).sum()
        trained = [p for p in [*encoder.parameters(), *parts.parameters()] if p.requires_grad]
        for parameter in trained:
            parameter.grad = None
        loss.backward()
        if mine is not None:
            average_gradients(trained)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        counts = torch.tensor([[term.rows, term.dropped] for term in terms]).double()
        results += [loss.detach(), *gradients, counts, *(b.double() for m in memories.values() for b in m.buffers())]
        with torch.no_grad():
            for parameter, gradient in zip(trained, gradients, strict=True):
                parameter.sub_(0.05 * gradient)
        encoder.after_update()
        for memory in memories.values():
            if memory.when == "after-update":
                memory.write(tables[memory.source].detach())
    return [result.clone() for result in results]


def main() -> None:
    """Compare and write."""
    rendezvous, rank, processes, results = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=processes)
    flow = batch()
    differences: dict[str, Any] = {}
    for name, case in cases().items():
        try:
            together, alone = steps(case, flow, shares(processes)[rank]), steps(case, flow, None)
            apart = [
                float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in zip(together, alone, strict=True)
            ]
            differences[name] = max(apart) if sum(float(g.abs().sum()) for g in alone[1:3]) > 0 else "no gradient"
        except ImportError as error:
            differences[name] = f"missing: {error}"
        # Whoever fails, fails in all processes alike, so nobody waits for somebody who left.
        except Exception as error:
            differences[name] = f"{type(error).__name__}: {error}"
    results.write_text(json.dumps(differences))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
