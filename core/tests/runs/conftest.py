"""A small recipe and its components, for tests of whole runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from contrast_core import runs
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.figures import Figure, Lines
from contrast_core.interfaces import Data, Encoder, Evaluator, Flow, Memory, Objective, Outputs, Score, Term
from contrast_core.registry import Plugin, Registry
from contrast_core.spec import API, Component, Manifest

RECIPE = """
[recipe]
name = "local/small"
title = "Small"
[data]
use = "local/numbers"
[encoder]
use = "local/net"
[objective.spread]
use = "local/spread"
[training]
epochs = 3
batch_size = 4
device = "cpu"
tensorboard = "off"
diagnose_every = 5
[evaluation.spread]
use = "local/score"
"""


class Numbers(Data):
    """Random rows with labels; `problem` is raised by load."""

    gives = ("x", "sample", "embedding.label")

    def __init__(self, count: int = 10, problem: str = "", path: Path | None = None):
        self.count, self.problem, self.path = count, problem, path
        self.rows = torch.empty(0)

    def load(self) -> None:
        """Draw them."""
        if self.problem:
            kinds = {"value": ValueError, "os": OSError, "import": ImportError, "contrast": ContrastError}
            raise kinds[self.problem]("there is no such file.")
        self.rows = torch.randn(int(self.path.read_text()) if self.path else self.count, 3)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, items: Tensor) -> Flow:
        """Rows and numbers."""
        return {"x": self.rows[items], "sample": items}

    @property
    def labels(self) -> Tensor:
        """Two classes."""
        return torch.arange(len(self)) % 2

    @property
    def names(self) -> list[str]:
        """Letters."""
        return [f"row {number}" for number in range(len(self))]


class Net(Encoder):
    """One layer with dropout; `narrow` refuses wide data in prepare."""

    gives = ("embedding",)

    def __init__(self, width: int = 2, refuse: bool = False):
        super().__init__()
        self.width, self.refuse = width, refuse
        self.dropout = nn.Dropout(0.1)

    def prepare(self, flow: Flow) -> None:
        """As wide as the rows."""
        if self.refuse:
            raise ValueError("rows of three numbers are too wide.")
        self.layer = nn.Linear(flow["x"].shape[1], self.width)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """One table."""
        return {"embedding": Embeddings.of(self.dropout(self.layer(flow["x"])), sample=flow["sample"])}


class Spread(Objective):
    """Distance from one; `broken` is the number of the call that gives NaN, `stop` of the one that is interrupted."""

    def __init__(self, broken: int = 0, stop: int = 0):
        super().__init__()
        self.broken, self.stop, self.calls = broken, stop, 0

    def forward(self, outputs: Outputs) -> Term:
        """One term."""
        self.calls += 1
        if self.calls == self.stop:
            raise KeyboardInterrupt
        value = (outputs.tables["embedding"].z - 1).square().mean()
        return Term(value * float("nan") if self.calls == self.broken else value, 4)


class Rows(Memory):
    """A memory with a buffer as long as the data set."""

    def __init__(self) -> None:
        super().__init__("embedding", "after-update")

    def prepare(self, flow: Flow) -> None:
        """Rows of the first batch."""
        self.register_buffer("kept", torch.zeros(len(flow["x"])))

    def write(self, rows: Embeddings) -> None:
        """Nothing."""

    def read(self) -> Embeddings:
        """Nothing."""
        raise NotImplementedError


class Draw(Evaluator):
    """The mean of the embedding plus a number from torch's global generator; with `show` a figure before it."""

    def __init__(self, scale: float = 1.0, fail: bool = False, show: bool = False):
        self.scale, self.fail, self.show = scale, fail, show

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> list[Score | Figure]:
        """One score."""
        if self.fail:
            raise ValueError("there are no labels to test on.")
        figures: list[Score | Figure] = [Lines("Mean", "One point.", {"mean": ([1], [2])})] if self.show else []
        return [*figures, Score("mean", self.scale * (tables["embedding"].z.mean().item() + torch.rand(1).item()))]


def component(kind: str, name: str, cls: type) -> Component:
    """A component of this file."""
    return Component(kind, f"local/{name}", f"{__name__}:{cls.__name__}", name)


@pytest.fixture
def registry() -> Registry:
    """The components above and nothing else."""
    assert sys.modules[__name__].__dict__["Net"] is Net
    parts = [
        component("data", "numbers", Numbers), component("encoder", "net", Net), component("memory", "rows", Rows),
        component("objective", "spread", Spread), component("evaluator", "score", Draw),
    ]  # fmt: skip
    return Registry([Plugin("local", "contrast-local", "1.0", Manifest(API, parts), "", (), 0.0)])


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe as a file; reports have tests of their own."""
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path
