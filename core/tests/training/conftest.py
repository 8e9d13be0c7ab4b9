"""A very small pipeline, and what trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.compose import Composition
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Data, Encoder, Flow, Memory, Objective, Outputs, PairSampler, Term, View
from contrast_core.pipeline import Pipeline, Weighted
from contrast_core.recipe import Training, parse_recipe
from contrast_core.training.fit import Trainer
from contrast_core.training.position import Position
from contrast_core.training.steps import Ordinary


class Rows(Data):
    """`count` random rows of three numbers; `drawing` adds fresh noise to every batch."""

    gives = ("x", "sample")

    def __init__(self, count: int = 10, whole: bool = False, drawing: bool = False):
        self.rows = torch.randn(count, 3, generator=torch.Generator().manual_seed(1))
        self.whole, self.drawing = whole, drawing

    def load(self) -> None:
        """Nothing to do."""

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, items: Tensor) -> Flow:
        """The rows."""
        noise = torch.randn(len(items), 3) if self.drawing else 0
        return {"x": self.rows[items] + noise, "sample": items}


class Noise(View):
    """x plus noise, while training."""

    def forward(self, flow: Flow) -> Flow:
        """In place of x."""
        return {"x": flow["x"] + 0.1 * torch.randn_like(flow["x"])} if self.training else {}


class Net(Encoder):
    """A linear layer, batch normalisation, dropout."""

    gives = ("embedding",)

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.dropout = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2)
        self.frozen = nn.Linear(3, 1).requires_grad_(False)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """One table."""
        return {"embedding": Embeddings.of(self.dropout(self.norm(self.layer(flow["x"]))), sample=flow["sample"])}


class Last(Memory):
    """All samples it was given, and the rows of the last write."""

    def __init__(self, when: str):
        super().__init__("embedding", when)
        self.register_buffer("samples", torch.zeros(0, dtype=torch.int64))

    def write(self, rows: Embeddings) -> None:
        """Append."""
        self.samples = torch.cat([self.samples, rows["sample"]])

    def read(self) -> Embeddings:
        """Not needed."""
        raise NotImplementedError


class Spread(Objective):
    """Mean square distance of the rows to a learnable centre; `at` makes call number `k` give `value`."""

    def __init__(self, broken_call: int = -1, value: float = float("nan"), broken_gradient: bool = False):
        super().__init__()
        self.centre = nn.Parameter(torch.ones(4))
        self.calls, self.broken_call, self.value, self.broken_gradient = 0, broken_call, value, broken_gradient

    def forward(self, outputs: Outputs) -> Term:
        """One term."""
        self.calls += 1
        z = outputs.tables["embedding"].z
        value = (z.tanh() - self.centre).square().mean()
        if self.calls == self.broken_call:
            # The derivative of sqrt at 0 is infinite, and 0 times that is NaN; the value is fine.
            value = value + (0 * self.centre).sum().sqrt() if self.broken_gradient else value * self.value
        return Term(value, len(z))


class Seen(PairSampler):
    """Notes what a memory holds when pairs are formed."""

    def __init__(self, memory: str):
        super().__init__()
        self.memory = memory
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    def forward(self, flow: Flow) -> Mapping[str, Any]:
        """No pairs."""
        self.seen.append(flow[self.memory].samples.clone())
        return {}


def make(data: Data | None = None, step: Any = None, objective: Spread | None = None, **training: Any) -> Composition:
    """A composition ready to train; the same weights each time."""
    torch.manual_seed(0)
    training = {"batch_size": 4, "epochs": 4, "device": "cpu", "tensorboard": "off", **training}
    pipeline = Pipeline({"noise": Noise()}, Net(), {}, {}, {}, {"spread": Weighted(objective or Spread(), 1.0)})
    torch.manual_seed(0)
    return Composition(parse_recipe(""), data or Rows(), pipeline, step or Ordinary(), Training(**training), {})


def fit(
    composition: Any,
    folder: Path,
    *,
    stage: str = "",
    stage_number: int = 0,
    first_step: int = 0,
    alarms: Sequence[str] = (),
    resume: Mapping[str, Any] | None = None,
    progress: Any = lambda *_: None,
) -> tuple[int, list[str]]:
    """Train one stage; the number of the last step and the alarms that were raised."""
    position = Position(stage_number, first_step, alarms=list(alarms))
    end = Trainer(composition, folder, stage=stage, position=position, resume=resume).run(progress)
    return end.step, end.alarms


@pytest.fixture
def parts() -> SimpleNamespace:
    """The classes above, `make` and `fit`."""
    return SimpleNamespace(Rows=Rows, Noise=Noise, Net=Net, Last=Last, Spread=Spread, Seen=Seen, make=make, fit=fit)


@pytest.fixture
def losses() -> Callable[[Any], list[float]]:
    """The losses in a run folder."""
    import json

    return lambda folder: [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
