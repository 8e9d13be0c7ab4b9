"""Runs that are killed with SIGKILL at any moment and resumed end with the same bits as one that was not."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from contrast_core import runs
from contrast_core.errors import ContrastError

FORKS = multiprocessing.get_context("forkserver")
# What takes seconds to import is imported once, in a process that only forks.
FORKS.set_forkserver_preload(["contrast_core.runs", "torch._dynamo", "sklearn.linear_model", "sklearn.neighbors"])

COMMON = {"training.device": "cpu", "training.threads": 1, "training.tensorboard": "off", "training.diagnose_every": 7}
SMALL = {**COMMON, "encoder.encoder.hidden": [48], "encoder.encoder.embedding_size": 24, "training.batch_size": 200}

STAGES = """
[recipe]
name = "local/two-stages"
[data]
use = "core/digits"
[view.augment]
use = "core/tensor-views"
source = "image"
names = ["one", "two"]
noise = 0.1
[encoder]
use = "core/mlp"
views = ["one", "two"]
hidden = [32]
embedding_size = 16
projection = 16
[sampler.views]
use = "core/two-views"
views = ["one", "two"]
[objective.contrast]
use = "core/infonce"
[training]
batch_size = 200
[[stage]]
name = "warm"
training = { steps = 12, learning_rate = 1e-2 }
[[stage]]
name = "cold"
training = { steps = 30, seed = 1, schedule = "cosine" }
objective = { contrast = { temperature = 0.1 } }
"""


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have tests of their own."""
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small graph of papers, authors and subjects in the published layout."""
    sp = pytest.importorskip("scipy.sparse")
    pytest.importorskip("contrast_graph")
    folder, count = tmp_path_factory.mktemp("acm"), 48
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 3
    np.save(folder / "labels.npy", labels)
    for part, nodes in (("train", range(24)), ("val", range(24, 36)), ("test", range(36, 48))):
        np.save(folder / f"{part}_20.npy", np.array(nodes))
    for name, columns, share in (("nei_a", 20, 0.15), ("nei_s", 6, 0.3)):
        joined = generator.random((count, columns)) < share
        joined[np.arange(count), labels] = True
        sp.save_npz(folder / f"{name}.npz", sp.coo_matrix(joined.astype(np.float64)))
    sp.save_npz(folder / "p_feat.npz", sp.csr_matrix(generator.random((count, 8)) + np.eye(3, 8)[labels]))
    return folder


def count(folder: Path) -> int:
    """How many steps are recorded."""
    try:
        return (folder / "metrics.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def kill_at(folder: Path, lines: int, alive: Callable[[], bool], kill: Callable[[], Any]) -> None:
    """Wait for so many steps, then kill; it must not have ended before."""
    limit = time.monotonic() + 120
    while count(folder) < lines:
        assert alive(), "the run ended before it could be killed"
        assert time.monotonic() < limit
        time.sleep(0.002)
    kill()


def killed(folder: Path, lines: int, function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Run a function of the package in a process of its own and kill that once the run has so many steps."""
    process = FORKS.Process(target=function, args=arguments, kwargs=options)
    process.start()
    kill_at(folder, lines, process.is_alive, process.kill)
    process.join()
    assert process.exitcode == -9


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Lines without how long they took."""
    for line in path.read_text().splitlines():
        yield {key: value for key, value in json.loads(line).items() if key != "seconds"}


def assert_same_run(folder: Path, straight: Path) -> None:
    """Every loss and diagnosis, all weights, queues, teachers and clusters, the embedding and the scores."""
    for name in ("metrics.jsonl", "diagnostics.jsonl"):
        assert list(lines_of(folder / name)) == list(lines_of(straight / name))
    for name in ("model.safetensors", "encoder.safetensors", "embedding.safetensors"):
        found, expected = load_file(folder / name), load_file(straight / name)
        assert found.keys() == expected.keys()
        for key, tensor in expected.items():
            assert torch.equal(found[key], tensor), f"{name}: {key}"
    assert (folder / "evaluation.json").read_text() == (straight / "evaluation.json").read_text()
    about, wanted = (json.loads((each / "run.json").read_text()) for each in (folder, straight))
    assert about["status"] == wanted["status"] == "finished"
    assert [about[key] for key in ("steps", "alarms")] == [wanted[key] for key in ("steps", "alarms")]
    assert len(list(folder.glob("checkpoint-*.pt"))) == 1
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def texts(settings: Mapping[str, Any]) -> list[str]:
    """For the command line."""
    return [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]


def test_moco_killed_twice_on_the_command_line(tmp_path: Path) -> None:
    """Momentum teacher, queue and random views; in the middle of epochs; by the commands a user types."""
    folder, chance = tmp_path / "killed", random.Random(3)
    settings = {**SMALL, "training.epochs": 12, "training.checkpoint_every": 5}
    command = [sys.executable, "-m", "contrast_core", "run"]
    first = ["core/digits-moco", "--out", str(folder), *texts(settings)]
    for arguments, start in ((first, 3), (["--resume", str(folder)], 40)):
        process = subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL)
        kill_at(folder, start + chance.randrange(25), lambda: process.poll() is None, process.kill)  # noqa: B023
        assert process.wait() == -9
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
    runs.resume(folder)
    straight = runs.run("core/digits-moco", set=settings, out=tmp_path / "straight").folder
    assert_same_run(folder, straight)
    model = load_file(folder / "model.safetensors")
    assert model["memories.queue.filled"].item() == 1024
    assert model["memories.queue.pointer"].item() == 12 * 1797 % 1024


@pytest.mark.parametrize(("every", "at"), [(1000, 4), (1, 13), (9, 9)])
def test_killed_anywhere(tmp_path: Path, every: int, at: int) -> None:
    """Before the first checkpoint, while one is written at every step, and at the end of an epoch."""
    settings = {**SMALL, "training.steps": 30, "training.checkpoint_every": every}
    killed(tmp_path / "killed", at, runs.run, "core/digits-moco", set=settings, out=tmp_path / "killed")
    runs.resume(tmp_path / "killed")
    assert_same_run(tmp_path / "killed", runs.run("core/digits-moco", set=settings, out=tmp_path / "straight").folder)


@pytest.mark.parametrize("at", [12, 15, 29])
def test_killed_in_the_second_stage(tmp_path: Path, at: int) -> None:
    """Weights, step numbers and the stage's own schedule and seed go on, before and after its first checkpoint."""
    (tmp_path / "stages.toml").write_text(STAGES)
    settings = {**COMMON, "training.checkpoint_every": 6}
    killed(tmp_path / "killed", at, runs.run, tmp_path / "stages.toml", set=settings, out=tmp_path / "killed")
    runs.resume(tmp_path / "killed")
    assert_same_run(tmp_path / "killed", runs.run(tmp_path / "stages.toml", set=settings, out=tmp_path / "a").folder)
    steps = [(line["stage"], line["step"]) for line in lines_of(tmp_path / "killed" / "metrics.jsonl")]
    assert steps == [("warm" if step <= 12 else "cold", step) for step in range(1, 43)]


@pytest.mark.parametrize(("every", "at"), [(6, 13), (1, 16), (5, 18)])
def test_killed_in_the_third_task(tmp_path: Path, every: int, at: int) -> None:
    """Store, teacher, what was measured and the optimiser go on: after a border, between two, and while one is met."""
    settings = {
        **COMMON, "tasks.sizes": [2, 3, 2, 3], "training.steps": 6, "training.checkpoint_every": every,
        "encoder": {"use": "core/task-teacher", "encoder": {"use": "core/mlp", "views": ["one", "two"], "hidden": [32],
                    "embedding_size": 16, "projection": 8}},
    }  # fmt: skip
    folder = tmp_path / "killed"
    killed(folder, at, runs.run, "core/digits-continual", set=settings, out=folder)
    kept = torch.load(next(folder.glob("checkpoint-*.pt")), weights_only=True)
    assert kept["ended"] in (2, 3)
    assert (kept["pipeline"]["rehearsal.items"] >= 0).sum() == 100
    runs.resume(folder)
    straight = runs.run("core/digits-continual", set=settings, out=tmp_path / "straight").folder
    assert_same_run(folder, straight)
    assert (folder / "tasks.json").read_text() == (straight / "tasks.json").read_text()
    assert len(json.loads((folder / "tasks.json").read_text())) == 4
    model = load_file(folder / "model.safetensors")
    assert int((model["rehearsal.items"] >= 0).sum()) == 100
    assert model["encoder.ended"].item() == 4


def test_whole_graph_killed_twice(tmp_path: Path, published: Path) -> None:
    """MEOW: clusters that go on warm, dropout, patience, one step an epoch."""
    settings = {
        **COMMON, "data.path": published, "memory.clusters.clusters": [3, 5],
        "memory.clusters.start": "warm", "view.metapaths.neighbours": 6,
        "training.epochs": 120, "training.patience": 40, "training.checkpoint_every": 11,
    }  # fmt: skip
    folder = tmp_path / "killed"
    killed(folder, 15, runs.run, "graph/meow", set=settings, out=folder)
    killed(folder, 50, runs.resume, folder)
    runs.resume(folder)
    assert_same_run(folder, runs.run("graph/meow", set=settings, out=tmp_path / "straight").folder)
    steps = json.loads((folder / "run.json").read_text())["steps"]
    assert load_file(folder / "model.safetensors")["memories.clusters.writes"].item() == steps


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    """Resuming what still runs is refused; killing it lets go."""
    folder = tmp_path / "run"
    settings = {**SMALL, "training.epochs": 200, "training.steps": 40}
    process = FORKS.Process(target=runs.run, args=("core/digits-moco",), kwargs={"set": settings, "out": folder})
    process.start()

    def refused() -> None:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(ContrastError, match="Another process is training in"):
            runs.resume(folder)
        process.kill()

    kill_at(folder, 2, process.is_alive, refused)
    process.join()
    assert runs.resume(folder).folder == folder
