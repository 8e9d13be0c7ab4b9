"""The recipes: all run whole on little data, and go on after an interruption as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
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
    "training.epochs": 1, "data.max_seconds": 0.4, "training.batch_size": 42, "training.tensorboard": "off",
    "training.device": "cpu",
}  # fmt: skip
SIZES = {"width": 16, "heads": 2, "layers": 1, "feed_forward": 16, "longest": 3}
INSIDE = {
    **dict.fromkeys(("fine-tuning", "joint", "rehearsal", "audio-text"), "encoder"),
    **dict.fromkeys(("seq-kd", "coconut-seq-kd"), "encoder.encoder.encoder"),
}
"""Where the network stands in a recipe, if not inside of its teacher."""


def small(name: str) -> dict[str, Any]:
    """Settings of a short run of a small network."""
    return {**SMALL, **{f"{INSIDE.get(name, 'encoder.encoder')}.{size}": value for size, value in SIZES.items()}}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The installed plugins."""
    return discover()


@pytest.mark.parametrize("name", OWN)
def test_recipes_run_whole(name: str, registry: Registry, tmp_path: Path) -> None:
    """Every term counts rows in the last task, and the scores over tasks are there."""
    run = runs.run(f"speech/{name}", set=small(name), out=tmp_path / "run", registry=registry)
    last = lines_of(run.folder)[-1]
    assert all(term["rows"] > 0 for term in last["terms"].values()), last["terms"]
    assert [score.metric for score in run.scores["decoding"]] == ["Intent accuracy", "Word error rate"]
    report = (run.folder / "report.html").read_text()
    if name != "joint":
        metrics = ["Average", "Last", "Forgetting", "Backward transfer"]
        assert [score.metric for score in run.scores["tasks"]] == metrics
        assert run.scores["tasks"][1].mean == run.scores["decoding"][0].mean
        assert "decoding/Intent accuracy by task" in report


@pytest.mark.parametrize("store", ["core/herding", "core/reservoir"])
def test_other_stores_and_ways_of_rehearsal_run(store: str, registry: Registry, tmp_path: Path) -> None:
    """What is kept comes once an epoch; the weight of NSPT grows with the share of past intents."""
    given: dict[str, Any] = {
        **small("coconut"), "rehearsal": {"use": store, "total": 40, "in_batch": "once"}, "objective.nspt.growing": True
    }  # fmt: skip
    run = runs.run("speech/coconut", set=given, out=tmp_path / "run", registry=registry)
    items = load_file(run.folder / "model.safetensors")["rehearsal.items"]
    assert len(items[items >= 0].unique()) == 40
    terms = [line["terms"]["nspt"] for line in lines_of(run.folder)]
    weights = [term["weight"] for term in terms if term["rows"]]
    assert not terms[0]["rows"]
    assert weights[0] == pytest.approx(0.1 * 4 / 6)
    assert sorted(weights) == weights
    assert weights[-1] == pytest.approx(0.1 * 0.8)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """What was recorded of each step; a line that is being written is left out."""
    path = folder / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def test_a_run_killed_in_its_third_task_goes_on_bit_equal(registry: Registry, tmp_path: Path) -> None:
    """By SIGKILL: losses, weights, teacher, what the store keeps and all scores are those of a run that never died."""
    settings = {**small("coconut"), "training.checkpoint_every": 1, "training.epochs": 2}
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    whole = runs.run("speech/coconut", set=settings, out=tmp_path / "whole", registry=registry)
    steps = [line["loss"] for line in lines_of(whole.folder)]
    assert len(steps) == 20  # 8 in the first task, of four intents; 4 in each of the others
    command = [sys.executable, "-m", "contrast_core", "run", "speech/coconut", *given, "--out", str(tmp_path / "cut")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(lines_of(tmp_path / "cut")) < 13 and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    done = len(lines_of(tmp_path / "cut"))
    assert 13 <= done < 16, "It was to be killed in the third task."
    kept = torch.load(max((tmp_path / "cut").glob("checkpoint-*.pt")), weights_only=True)
    assert kept["ended"] == 2
    items = kept["pipeline"]["rehearsal.items"]
    assert int((items >= 0).sum()) == 6 * 8
    told: list[str] = []
    resumed = runs.resume(
        tmp_path / "cut", registry=registry, progress=lambda done, steps, text: told.append(text.partition(",")[0])
    )
    assert told[0] == "task 3/4"
    assert len(told) <= 8
    assert [line["loss"] for line in lines_of(resumed.folder)] == steps
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (whole.folder, resumed.folder))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())
    assert torch.isin(items[items >= 0], theirs["rehearsal.items"]).all()
    assert (whole.folder / "tasks.json").read_text() == (resumed.folder / "tasks.json").read_text()


def test_two_processes_go_through_tasks_as_one(registry: Registry, tmp_path: Path) -> None:
    """Rows of rehearsal may all be of one process; losses are those of one alone up to float32 rounding."""
    still = {"view.augmentation.frequency_masks": 0, "view.augmentation.time_masks": 0}
    settings = {**small("coconut-seq-kd"), **still, "encoder.encoder.encoder.dropout": 0.0}
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "contrast_core", "run"]
    done = subprocess.run(
        [sys.executable, *command, "speech/coconut-seq-kd", *given, "--out", str(tmp_path / "two")],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    runs.run("speech/coconut-seq-kd", set=settings, out=tmp_path / "one", registry=registry)
    one, two = ([line["loss"] for line in lines_of(tmp_path / name)] for name in ("one", "two"))
    assert two == pytest.approx(one, rel=1e-3)
    kept = [load_file(tmp_path / name / "model.safetensors")["rehearsal.items"] for name in ("one", "two")]
    assert kept[0].tolist() == kept[1].tolist()


@pytest.mark.parametrize("name", ["coconut-fsc", "coconut-slurp"])
def test_published_protocols_need_a_path_and_compose(name: str, registry: Registry, tmp_path: Path) -> None:
    """Without one the sentence says what to give."""
    with pytest.raises(ContrastError, match=r"data\.path=FOLDER"):
        compose(runs.find_recipe(f"speech/{name}", registry), registry)
    recipe = runs.find_recipe(f"speech/{name}", registry, [f"data.path={tmp_path}"])
    assert compose(recipe, registry).data is not None
