"""A validation score while training: the best weights stay, patience ends it, a resume has the same bits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from contrast_core.compose import Composition
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data, Evaluator, Score, Split
from contrast_core.training.checkpoint import load_checkpoint
from contrast_core.training.validation import Validation, on_validation_items


class Scripted(Evaluator):
    """Scores that were written down before; notes the weights and the test items at each time."""

    def __init__(self, values: Sequence[float]):
        self.values = list(values)
        self.seen: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.pipeline: Any = None

    def evaluate(self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator) -> Sequence[Score]:
        """The next value."""
        self.seen.append(data.splits["all"].test)
        self.weights.append(self.pipeline.encoder.layer.weight.detach().clone())
        value = self.values[len(self.seen) - 1]
        return [Score("other", -value), Score("score", value, split="test"), Score("score", 0.0, split="rest")]


SPLIT = Split(torch.arange(6), torch.tensor([6, 7]), torch.tensor([8, 9]))


def made(parts: SimpleNamespace, values: Sequence[float], **training: Any) -> tuple[Composition, Scripted]:
    """Three steps an epoch, validated by the script."""
    scripted = Scripted(values)
    rows = type("Rows", (parts.Rows,), {"splits": property(lambda _: {"all": SPLIT})})(drawing=True)
    plan = {"validate": "script/score", "epochs": 6, "checkpoint_every": 2, **training}
    composition = attrs.evolve(parts.make(rows, **plan), evaluators={"script": scripted})
    scripted.pipeline = composition.pipeline
    return composition, scripted


def validated(folder: Path) -> dict[int, float]:
    """Score by step."""
    lines = [json.loads(line) for line in (folder / "diagnostics.jsonl").read_text().splitlines()]
    return {line["step"]: line["validation"] for line in lines if "validation" in line}


@pytest.mark.parametrize(("goal", "best"), [("max", 1), ("min", 3)])
def test_the_best_weights_stay(parts: SimpleNamespace, tmp_path: Path, goal: str, best: int) -> None:
    """The first of several equal scores counts; evaluators see validation items as test items."""
    composition, scripted = made(parts, [0.2, 0.5, 0.3, 0.1, 0.1, 0.5], validate_goal=goal)
    assert parts.fit(composition, tmp_path)[0] == 18
    assert validated(tmp_path) == {3: 0.2, 6: 0.5, 9: 0.3, 12: 0.1, 15: 0.1, 18: 0.5}
    assert all(seen.equal(SPLIT.val) for seen in scripted.seen)
    assert composition.pipeline.encoder.layer.weight.equal(scripted.weights[best])
    assert not composition.pipeline.encoder.layer.weight.equal(scripted.weights[-1])
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["best_step"] == 3 * (best + 1)


def test_patience_counts_validations(parts: SimpleNamespace, tmp_path: Path) -> None:
    """Every second epoch; two without progress end the training."""
    composition, _ = made(parts, [0.3, 0.2, 0.3, 0.9], validate_every=2, patience=2, epochs=50)
    assert parts.fit(composition, tmp_path)[0] == 18
    assert validated(tmp_path) == {6: 0.3, 12: 0.2, 18: 0.3}


def test_the_end_is_always_validated(parts: SimpleNamespace, tmp_path: Path) -> None:
    """Also in the middle of an epoch."""
    composition, _ = made(parts, [0.3, 0.2, 0.1], steps=7, validate_every=2)
    parts.fit(composition, tmp_path)
    assert validated(tmp_path) == {6: 0.3, 7: 0.2}


@pytest.mark.parametrize("stop", [2, 3, 6, 8, 17])
def test_a_resume_has_the_same_bits(parts: SimpleNamespace, tmp_path: Path, stop: int) -> None:
    """Scores, kept weights, and the weights of the best time from before the interruption."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    values = [0.2, 0.5, 0.3, 0.1, 0.4, 0.2]
    whole, _ = made(parts, values)
    parts.fit(whole, tmp_path / "a")

    def interrupt(done: int, *_: Any) -> None:
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parts.fit(made(parts, values)[0], tmp_path / "b", progress=interrupt)
    state = load_checkpoint(tmp_path / "b")
    again, _ = made(parts, values[0 if state is None else state["done"] // 3 :])
    parts.fit(again, tmp_path / "b", resume=state)
    assert validated(tmp_path / "b") == validated(tmp_path / "a")
    for name, tensor in whole.pipeline.state_dict().items():
        assert tensor.equal(again.pipeline.state_dict()[name]), name


def test_what_cannot_be_validated_is_refused(parts: SimpleNamespace) -> None:
    """An evaluator that the recipe lacks, before training; a metric or a split that it does not give."""
    with pytest.raises(ContrastError, match=r"must begin with .*there are: script\."):
        Validation(made(parts, [], validate="sript/score")[0])
    with pytest.raises(ContrastError, match=r"must name a metric too, as in 'script/METRIC'\.$"):
        Validation(made(parts, [], validate="script")[0])
    assert Validation(made(parts, [0.2], validate="script/score/rest")[0])() == 0
    for wanted in ("script/scor", "script/score/all"):
        composition, _ = made(parts, [0.2], validate=wanted)
        hint = r" Did you mean score\?$" if wanted == "script/scor" else "$"
        with pytest.raises(ContrastError, match=r"gives no score .*, only other, score/test, score/rest\." + hint):
            Validation(composition)()


def test_data_on_validation_items_are_still_themselves(parts: SimpleNamespace) -> None:
    """Of their class, with their values; and the data themselves are as before."""
    data = made(parts, [])[0].data
    shown = on_validation_items(data)
    assert isinstance(shown, parts.Rows)
    assert shown.rows is data.rows
    assert shown.splits["all"].test.equal(SPLIT.val)
    assert data.splits["all"].test.equal(SPLIT.test)
