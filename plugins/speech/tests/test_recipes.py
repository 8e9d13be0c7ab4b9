"""The recipes: all run whole on little data, and go on after an interruption as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from contrast_core import runs
from contrast_core.compose import compose
from contrast_core.errors import ContrastError
from contrast_core.registry import Registry, discover

OWN = [
    "coconut", "coconut-seq-kd", "nspt", "audio-text", "rehearsal", "fine-tuning", "joint", "audio-kd", "token-kd",
    "seq-kd", "logit-kd", "lwf", "der-style",
]  # fmt: skip
SMALL: dict[str, Any] = {
    "data.epochs": 1, "data.max_seconds": 0.4, "encoder.encoder.width": 16, "encoder.encoder.heads": 2,
    "encoder.encoder.layers": 1, "encoder.encoder.feed_forward": 16, "encoder.encoder.longest": 3,
    "training.batch_size": 42, "training.tensorboard": "off", "training.device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The installed plugins."""
    return discover()


@pytest.mark.parametrize("name", OWN)
def test_recipes_run_whole(name: str, registry: Registry, tmp_path: Path) -> None:
    """Every term counts rows in the last task, and the scores over tasks are there."""
    run = runs.run(f"speech/{name}", set=SMALL, out=tmp_path / "run", registry=registry)
    last = json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert all(term["rows"] > 0 for term in last["terms"].values()), last["terms"]
    scores = {score.metric: score.mean for score in run.scores["tasks"]}
    assert 0 <= scores["Last accuracy"] <= 1
    assert ("Forgetting" in scores) == (name != "joint")
    report = (run.folder / "report.html").read_text()
    assert "Accuracy by task" in report


class Stop(KeyboardInterrupt):
    """Somebody presses Ctrl-C."""


def test_a_run_killed_in_its_third_task_goes_on_bit_equal(registry: Registry, tmp_path: Path) -> None:
    """Weights, copies of the model and all logged losses are those of a run that never stopped."""
    settings = {**SMALL, "training.checkpoint_every": 1}
    whole = runs.run("speech/coconut", set=settings, out=tmp_path / "whole", registry=registry)
    steps = [json.loads(line)["loss"] for line in (whole.folder / "metrics.jsonl").read_text().splitlines()]
    wanted = len(steps) - 3  # two batches a task: the first one of the third

    def stop(done: int, _: int, text: str) -> None:
        if done == wanted:
            assert text.startswith("task 3/4, loss ")
            raise Stop

    with pytest.raises(runs.Interrupted):
        runs.run("speech/coconut", set=settings, out=tmp_path / "cut", registry=registry, progress=stop)
    resumed = runs.resume(tmp_path / "cut", registry=registry)
    again = [json.loads(line)["loss"] for line in (resumed.folder / "metrics.jsonl").read_text().splitlines()]
    assert again == steps
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (whole.folder, resumed.folder))
    assert int(ours["encoder.task"]) == 3
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())


@pytest.mark.parametrize("name", ["coconut-fsc", "coconut-slurp"])
def test_published_protocols_need_a_path_and_compose(name: str, registry: Registry, tmp_path: Path) -> None:
    """Without one the sentence says what to give."""
    with pytest.raises(ContrastError, match=r"data\.path=FOLDER"):
        compose(runs.find_recipe(f"speech/{name}", registry), registry)
    recipe = runs.find_recipe(f"speech/{name}", registry, [f"data.path={tmp_path}"])
    assert compose(recipe, registry).data is not None
