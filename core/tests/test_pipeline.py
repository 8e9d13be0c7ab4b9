"""The pipeline: who meets whom, in which order, and whose fault it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Encoder, Flow, Memory, Objective, Outputs, PairSampler, Part, Term, View
from contrast_core.pairs import Pairs
from contrast_core.pipeline import PartError, Pipeline, Weighted, total
from contrast_core.relations import same


class Noted:
    """Notes its calls in a list that several parts share."""

    def __init__(self, log: list[str], name: str, fail: str = ""):
        super().__init__()
        self.log, self.name, self.fail = log, name, fail

    def note(self, what: str) -> None:
        """And fails if it shall."""
        self.log.append(f"{self.name} {what}")
        if self.fail == what:
            raise ValueError(f"{self.name} dislikes this.")

    def prepare(self, flow: Flow) -> None:
        """Noted."""
        self.note("prepare")

    def after_update(self) -> None:
        """Noted."""
        self.note("after")


class Twice(Noted, View):
    """Doubles one name into another."""

    def __init__(self, log: list[str], source: str, target: str, fail: str = ""):
        super().__init__(log, target, fail)
        self.source, self.target = source, target

    def forward(self, flow: Flow) -> Flow:
        """Works on tensors and tables."""
        self.note("run")
        found = flow[self.source]
        return {self.target: 2 * found if isinstance(found, Tensor) else found.with_columns(late=1)}


class Line(Noted, Encoder):
    """A linear layer made by prepare."""

    def prepare(self, flow: Flow) -> None:
        """As wide as the view."""
        super().prepare(flow)
        self.layer = nn.Linear(flow["view"].shape[1], 3)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """One table."""
        self.note("run")
        return {"embedding": Embeddings.of(self.layer(flow["view"]), sample=flow["sample"])}


class Store(Noted, Memory):
    """Keeps the rows of the last write."""

    def __init__(self, log: list[str], name: str, when: str, fail: str = ""):
        nn.Module.__init__(self)
        self.source, self.when, self.log, self.name, self.fail = "late", when, log, name, fail
        self.rows: Embeddings | None = None

    def write(self, rows: Embeddings) -> None:
        """Noted."""
        self.note("write")
        self.rows = rows

    def read(self) -> Embeddings:
        """The rows."""
        assert self.rows is not None
        return self.rows


class Own(Noted, PairSampler):
    """A table against itself."""

    def prepare(self, flow: Flow) -> None:
        """Memories are there already."""
        assert isinstance(flow["before"], Store)
        super().prepare(flow)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """One set."""
        self.note("run")
        table = flow["late"]
        return {self.name: Pairs(table, table, same("sample"), ~same("sample"))}


class Mean(Noted, Objective):
    """Means of squares: one term, or several by name."""

    result: Any = None

    def forward(self, outputs: Outputs) -> Any:
        """What it was told to give."""
        self.note("run")
        if self.result is not None:
            return self.result
        return Term(outputs.pairs["own"].anchors.z.square().mean(), 4, weight=0.5)


def made(log: list[str], fail: tuple[str, str] = ("", "")) -> Pipeline:
    """One of each; part `fail[0]` fails at `fail[1]`."""

    def failing(name: str) -> str:
        return fail[1] if fail[0] == name else ""

    return Pipeline(
        {"view": Twice(log, "x", "view", failing("view"))},
        Line(log, "encoder", failing("encoder")),
        {"late": Twice(log, "embedding", "late", failing("late"))},
        {
            "before": Store(log, "before", "before-pairs", failing("before")),
            "after": Store(log, "after", "after-update", failing("after")),
        },
        {"own": Own(log, "own", failing("own"))},
        {"mean": Weighted(Mean(log, "mean", failing("mean")), 3.0)},
    )


def batch() -> Flow:
    """Four items."""
    return {"x": torch.arange(8.0).reshape(4, 2), "sample": torch.arange(4)}


def test_parts_are_met_in_order() -> None:
    """Preparing runs what transforms, so that the next part knows its input; training writes memories around pairs."""
    log: list[str] = []
    pipeline = made(log)
    pipeline.prepare(batch())
    assert log == ["view prepare", "view run", "encoder prepare", "encoder run", "late prepare", "late run",
                   "before prepare", "after prepare", "own prepare", "mean prepare"]  # fmt: skip
    log.clear()
    outputs = pipeline(batch())
    terms = pipeline.terms(outputs)
    assert log == ["view run", "encoder run", "late run", "before write", "own run", "mean run"]
    log.clear()
    pipeline.after_update(outputs)
    assert sorted(log[:-1]) == sorted(f"{name} after" for name in
                                      ("view", "encoder", "late", "before", "after", "own", "mean"))  # fmt: skip
    assert log[-1] == "after write"
    assert sorted(outputs.tables) == ["embedding", "late"]
    assert (terms["mean"].weight, terms["mean"].rows) == (1.5, 4)
    assert total(terms).item() == pytest.approx(1.5 * terms["mean"].value.item())


def test_memories_take_rows_without_their_graph_and_only_while_training() -> None:
    """In evaluation mode nothing is written."""
    pipeline = made([])
    pipeline.prepare(batch())
    pipeline.eval()
    pipeline.after_update(pipeline(batch()))
    assert pipeline.memories["before"].rows is None
    assert pipeline.memories["after"].rows is None
    pipeline.train()
    pipeline.after_update(pipeline(batch()))
    for name in ("before", "after"):
        assert not pipeline.memories[name].rows.z.requires_grad


def test_embedding_takes_the_early_views_alone() -> None:
    """Late views, memories and samplers are for training."""
    log: list[str] = []
    pipeline = made(log)
    pipeline.prepare(batch())
    log.clear()
    assert pipeline.embed(batch()).z.shape == (4, 3)
    assert log == ["view run", "encoder run"]


def test_views_drawn_once_can_be_encoded_several_times() -> None:
    """Each time what one pass gives, by the weights of that moment, and the views do not run again."""
    log: list[str] = []
    pipeline = made(log)
    pipeline.prepare(batch())
    log.clear()
    viewed = pipeline.draw_views(batch())
    first = pipeline.encode_views(viewed)["embedding"].z
    assert log == ["view run", "encoder run"]
    assert torch.equal(first, pipeline.encode(batch())["embedding"].z)
    with torch.no_grad():
        pipeline.encoder.layer.weight.mul_(2)
    log.clear()
    again = pipeline.encode_views(viewed)["embedding"].z
    assert log == ["encoder run"]
    assert not torch.equal(first, again)
    assert torch.equal(again, pipeline.encode(batch())["embedding"].z)


def test_only_the_objectives_that_are_asked_for_run() -> None:
    """None means all; one that is not there is named."""
    log: list[str] = []
    pipeline = made(log)
    pipeline.objectives["other"] = Mean(log, "other")
    pipeline.weights["other"] = 1.0
    pipeline.prepare(batch())
    outputs = pipeline(batch())
    log.clear()
    assert list(pipeline.terms(outputs, only=["other"])) == ["other"]
    assert log == ["other run"]
    assert list(pipeline.terms(outputs)) == ["mean", "other"]
    with pytest.raises(ContrastError, match="asks for the objective 'third', but the recipe has mean, other"):
        pipeline.terms(outputs, only=["third"])


@pytest.mark.parametrize(
    ("name", "what", "path"),
    [
        ("view", "prepare", "view.view"), ("view", "run", "view.view"), ("encoder", "prepare", "encoder"),
        ("encoder", "run", "encoder"), ("late", "run", "view.late"), ("before", "prepare", "memory.before"),
        ("before", "write", "memory.before"), ("after", "write", "memory.after"), ("own", "prepare", "sampler.own"),
        ("own", "run", "sampler.own"), ("mean", "run", "objective.mean"),
    ],
)  # fmt: skip
def test_a_part_that_refuses_is_named(name: str, what: str, path: str) -> None:
    """By its section of the recipe."""
    pipeline = made([], (name, what))

    def step() -> None:
        pipeline.prepare(batch())
        outputs = pipeline(batch())
        pipeline.terms(outputs)
        pipeline.after_update(outputs)

    with pytest.raises(PartError) as caught:
        step()
    assert caught.value.path == path
    assert str(caught.value) == f"[{path}] {name} dislikes this."


def with_result(result: Any, weight: float = 3.0) -> dict[str, Term]:
    """The terms of a pipeline whose objective gives that."""
    pipeline = made([])
    pipeline.prepare(batch())
    pipeline.objectives["mean"].result = result
    pipeline.weights["mean"] = weight
    terms: dict[str, Term] = pipeline.terms(pipeline(batch()))
    return terms


def test_several_terms_have_names_of_their_own() -> None:
    """section/name; scalars, rows and dropped rows are passed on."""
    terms = with_result({"a": Term(torch.tensor(1.0), 2, 1, scalars={"t": 0.5}), "b": Term(torch.tensor(2.0), 3)})
    assert list(terms) == ["mean/a", "mean/b"]
    assert (terms["mean/a"].dropped, terms["mean/a"].scalars, terms["mean/a"].weight) == (1, {"t": 0.5}, 3.0)
    assert total(terms).item() == 9.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_term_that_is_not_finite_is_named(value: float) -> None:
    """Also one of several."""
    with pytest.raises(ContrastError, match=rf"^The loss term 'mean/b' became {value}; training stopped\.$"):
        with_result({"a": Term(torch.tensor(1.0), 2), "b": Term(torch.tensor(value), 3)})


def test_a_weight_that_is_not_finite_is_named() -> None:
    """The value itself is fine."""
    with pytest.raises(ContrastError, match=r"'mean' became 1.0 \(times its weight inf\)"):
        with_result(Term(torch.tensor(1.0), 2), weight=float("inf"))


def test_terms_are_scalars() -> None:
    """A value for each row is a mistake of the objective."""
    with pytest.raises(ContrastError, match=r"\[objective.mean\] .*'mean' must be a scalar, not .*\(2,\)"):
        with_result(Term(torch.ones(2), 2))


def test_a_loss_needs_a_term() -> None:
    """An empty mapping is no loss."""
    with pytest.raises(ContrastError, match="gave no loss term"):
        total(with_result({}))


@pytest.mark.parametrize("name", ["keys", "training", "a.b"])
def test_names_that_torch_forbids_are_refused(name: str) -> None:
    """With the section that has it."""
    with pytest.raises(ContrastError, match=rf"\[view.{name}\] A view can't be called '{name}'"):
        Pipeline({name: Twice([], "x", "y")}, Line([], "encoder"), {}, {}, {}, {})


def test_parts_within_parts_follow_updates_too() -> None:
    """A view inside the encoder, for example."""
    log: list[str] = []
    pipeline = made(log)
    pipeline.prepare(batch())
    pipeline.encoder.inner = Twice(log, "x", "inner")
    log.clear()
    for part in pipeline.modules():
        if isinstance(part, Part):
            part.after_update()
    assert log.count("inner after") == 1
