"""The loop: what it writes, where it stops, and that it goes on with the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from contrast_core.errors import ContrastError
from contrast_core.training.checkpoint import load_checkpoint
from contrast_core.training.embedding import embed_all
from contrast_core.training.fit import Trainer
from contrast_core.training.position import Position

Losses = Callable[[Path], list[float]]


def lines(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """The lines of a file of the run, without how long they took."""
    found = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


def made(folder: Path) -> Path:
    """A new folder."""
    folder.mkdir()
    return folder


def test_every_step_is_recorded(parts: SimpleNamespace, tmp_path: Path) -> None:
    """Three steps an epoch; numbers go on from the stage before, whose lines stay."""
    assert parts.fit(parts.make(epochs=2), tmp_path, stage="one") == (6, [])
    assert parts.fit(parts.make(epochs=1), tmp_path, stage="two", stage_number=1, first_step=6, alarms=["a"])[0] == 9
    found = lines(tmp_path)
    assert [line["step"] for line in found] == list(range(1, 10))
    assert [line["epoch"] for line in found] == [1, 1, 1, 2, 2, 2, 1, 1, 1]
    assert [line["stage"] for line in found] == ["one"] * 6 + ["two"] * 3
    assert found[0]["terms"]["spread"]["rows"] == 4
    assert [line["step"] for line in lines(tmp_path, "diagnostics.jsonl")] == [6, 9]


@pytest.mark.parametrize("steps", [1, 4, 100])
def test_a_number_of_steps_ends_training_in_the_middle(parts: SimpleNamespace, tmp_path: Path, steps: int) -> None:
    """With a checkpoint and a diagnosis at its end."""
    done, _ = parts.fit(parts.make(epochs=2, steps=steps, checkpoint_every=2), tmp_path)
    assert done == min(6, steps) == len(lines(tmp_path))
    assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == done
    assert [line["step"] for line in lines(tmp_path, "diagnostics.jsonl")] == [done]


@pytest.mark.parametrize("stop", [1, 2, 3, 5, 11])
@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_training_is_bit_equal(
    parts: SimpleNamespace, tmp_path: Path, losses: Losses, stop: int, workers: int
) -> None:
    """Stopped by an exception after any step, in the middle of an epoch or at its end, with random data and views."""
    options = {"workers": workers, "checkpoint_every": 2, "diagnose_every": 3, "schedule": "cosine"}
    straight, stopped = made(tmp_path / "a"), made(tmp_path / "b")
    whole = parts.make(parts.Rows(drawing=True), **options)
    parts.fit(whole, straight)

    def interrupt(done: int, *_: Any) -> None:
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parts.fit(parts.make(parts.Rows(drawing=True), **options), stopped, progress=interrupt)
    torch.rand(17)
    again = parts.make(parts.Rows(drawing=True), **options)
    parts.fit(again, stopped, resume=load_checkpoint(stopped))
    assert lines(stopped) == lines(straight)
    assert lines(stopped, "diagnostics.jsonl") == lines(straight, "diagnostics.jsonl")
    for name, tensor in whole.pipeline.state_dict().items():
        assert torch.equal(tensor, again.pipeline.state_dict()[name]), name


def test_a_finished_training_is_finished_again_at_once(parts: SimpleNamespace, tmp_path: Path) -> None:
    """No step, no new file, the same weights."""
    first = parts.make(epochs=1)
    parts.fit(first, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = parts.make(epochs=1)
    assert parts.fit(again, tmp_path, resume=load_checkpoint(tmp_path)) == (3, [])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert torch.equal(first.pipeline.encoder.layer.weight, again.pipeline.encoder.layer.weight)


def test_a_checkpoint_of_another_recipe_is_refused(parts: SimpleNamespace, tmp_path: Path) -> None:
    """Making the trainer says so and writes nothing."""
    parts.fit(parts.make(epochs=1), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    state = load_checkpoint(tmp_path)
    with pytest.raises(ContrastError, match="does not fit this recipe: it was made with other settings"):
        Trainer(parts.make(epochs=1), tmp_path, identity="another", resume=state)
    assert state is not None
    del state["pipeline"]["encoder.layer.weight"]
    with pytest.raises(ContrastError, match=r"does not fit this recipe: .*encoder.layer.weight") as caught:
        Trainer(parts.make(epochs=1), tmp_path, resume=state)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_training(parts: SimpleNamespace, tmp_path: Path, value: float) -> None:
    """The sentence names term and step; the last checkpoint is from before."""
    broken = parts.make(objective=parts.Spread(5, value), checkpoint_every=1)
    with pytest.raises(ContrastError, match=rf"^Step 5: The loss term 'spread' became {value}; training stopped\.$"):
        parts.fit(broken, tmp_path)
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["done"] == 4 == len(lines(tmp_path))
    assert all(tensor.isfinite().all() for tensor in state["pipeline"].values())


def test_a_gradient_that_is_not_finite_never_reaches_a_checkpoint(parts: SimpleNamespace, tmp_path: Path) -> None:
    """With clip_norm it is seen at once, without before the next checkpoint, which may be the last."""
    norm, weights = made(tmp_path / "norm"), made(tmp_path / "weights")
    with pytest.raises(ContrastError, match=r"^Step 3: The gradient's norm became nan; training stopped\.$"):
        parts.fit(parts.make(objective=parts.Spread(3, broken_gradient=True), clip_norm=1.0), norm)
    with pytest.raises(ContrastError, match=r"^Step 3: the parameter objectives.spread.centre became NaN or infinite"):
        parts.fit(parts.make(objective=parts.Spread(3, broken_gradient=True), steps=3, checkpoint_every=2), weights)
    state = load_checkpoint(weights)
    assert state is not None
    assert state["done"] == 2


def test_clipping_bounds_the_update(parts: SimpleNamespace, tmp_path: Path) -> None:
    """With plain SGD the step is at most learning rate times norm."""
    composition = parts.make(optimizer="sgd", momentum=0.0, learning_rate=1.0, clip_norm=1e-3, steps=1)
    before = [p.detach().clone() for p in composition.pipeline.parameters()]
    parts.fit(composition, tmp_path)
    moved = torch.cat([(p - q).flatten() for p, q in zip(composition.pipeline.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("every", [1, 3, 7])
def test_diagnosing_does_not_change_training(
    parts: SimpleNamespace, tmp_path: Path, losses: Losses, every: int
) -> None:
    """Random views, dropout, batch normalisation and random data included."""
    rare, often = made(tmp_path / "rare"), made(tmp_path / "often")
    first = parts.make(parts.Rows(drawing=True))
    parts.fit(first, rare)
    second = parts.make(parts.Rows(drawing=True), diagnose_every=every)
    parts.fit(second, often)
    assert losses(rare) == losses(often)
    for name, tensor in first.pipeline.state_dict().items():
        assert torch.equal(tensor, second.pipeline.state_dict()[name]), name


def test_embedding_leaves_modes_and_generators_alone(parts: SimpleNamespace) -> None:
    """A module that is kept in evaluation mode stays there, also if embedding fails."""
    composition = parts.make()
    pipeline = composition.pipeline.train()
    pipeline.encoder.norm.eval()
    state = torch.get_rng_state()
    table = embed_all(pipeline, composition.data, 3)
    assert table["sample"].tolist() == list(range(10))
    some = embed_all(pipeline, composition.data, 3, torch.tensor([7, 2]))
    assert torch.equal(some.z, table.z[[7, 2]])
    pipeline.encoder.forward = lambda _: {"embedding": table}  # type: ignore[method-assign]
    with pytest.raises(ContrastError, match="10 rows for 3 items"):
        embed_all(pipeline, composition.data, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert pipeline.training
    assert pipeline.encoder.dropout.training
    assert not pipeline.encoder.norm.training


def test_patience_counts_epochs_without_a_lower_loss() -> None:
    """Two steps an epoch; means 3, 2, 2.5, 2: the third and the fourth are stale."""
    at = Position()
    for number, loss in enumerate([4, 2, 2, 2, 2, 3, 1, 3], 1):
        mean = at.advance(loss, per_epoch=2)
        assert at.done == number
        if mean is not None:
            at.judge(mean)
    assert (at.best, at.best_step, at.stale, at.epoch_loss) == (2.0, 4, 2, 0.0)
    assert Position.of(at.state()) == at


def test_training_stops_when_patience_is_at_its_end(parts: SimpleNamespace, tmp_path: Path) -> None:
    """A learning rate of zero makes no progress; the end is diagnosed and resuming adds nothing."""
    options = {"learning_rate": 0.0, "patience": 2, "epochs": 50, "batch_size": 10}
    composition = parts.make(parts.Rows(whole=True), **options)
    composition.pipeline.views.clear()
    composition.pipeline.encoder.dropout.p = 0.0
    assert parts.fit(composition, tmp_path)[0] == 3
    assert [line["step"] for line in lines(tmp_path, "diagnostics.jsonl")] == [3]
    assert parts.fit(composition, tmp_path, resume=load_checkpoint(tmp_path))[0] == 3


def test_an_alarm_is_told_once_and_kept(parts: SimpleNamespace, tmp_path: Path) -> None:
    """All rows equal: collapse, after the alarms of earlier stages, and in the checkpoint."""
    composition = parts.make(parts.Rows(whole=True), epochs=3, diagnose_every=1)
    torch.nn.init.zeros_(composition.pipeline.encoder.norm.weight)
    composition.pipeline.encoder.norm.weight.requires_grad_(False)
    _, alarms = parts.fit(composition, tmp_path, alarms=["earlier"])
    assert len(alarms) == 2
    assert alarms[0] == "earlier"
    assert "collapse" in alarms[1]
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["alarms"] == alarms


@pytest.mark.parametrize("whole", [False, True])
def test_too_few_items_are_refused(parts: SimpleNamespace, tmp_path: Path, whole: bool) -> None:
    """Before anything is written."""
    with pytest.raises(ContrastError, match=r"has 1 item\(s\) to train on: too few"):
        parts.fit(parts.make(parts.Rows(1, whole=whole)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_vanishes_stops_training(parts: SimpleNamespace, tmp_path: Path) -> None:
    """At the next checkpoint, and it is not made again."""
    folder = made(tmp_path / "run")

    def remove(done: int, *_: Any) -> None:
        if done == 2:
            folder.rename(tmp_path / "moved")

    with pytest.raises(ContrastError, match="is gone"):
        parts.fit(parts.make(checkpoint_every=4), folder, progress=remove)
    assert not folder.exists()
