"""Whole runs under torchrun, and the small things they stand on."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file

from contrast_core import runs
from contrast_core.distributed import leads
from contrast_core.errors import ContrastError

Torchrun = Callable[[int, Sequence[str]], subprocess.CompletedProcess[str]]
Launched = Callable[..., list[subprocess.Popen[str]]]
FIXED = {"noise": "0.0", "drop": "0.0", "shift": "0"}
SMALL = ["training.epochs=2", "training.batch_size=300", "training.threads=1", "training.tensorboard=off",
         "training.checkpoint_every=4"]  # fmt: skip


def settings(**views: str) -> list[str]:
    """Settings of a short run on digits; views may be without randomness."""
    return [*SMALL, *(f"view.augment.{key}={value}" for key, value in views.items())]


def losses(folder: Path) -> list[float]:
    """The losses of all steps."""
    return [
        json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines() if line[-1:] == "}"
    ]


def diagnosed(folder: Path) -> list[dict[str, float]]:
    """The lines that have a validation score."""
    lines = (json.loads(line) for line in (folder / "diagnostics.jsonl").read_text().splitlines())
    return [line for line in lines if "validation" in line]


def spoken(given: Sequence[str]) -> list[str]:
    """The settings as arguments."""
    return [word for each in given for word in ("--set", each)]


def test_two_processes_train_as_one(tmp_path: Path, torchrun: Torchrun) -> None:
    """Same losses and validation up to rounding, with momentum encoder, queue and an uneven last batch; one report."""
    given = [*settings(**FIXED), "training.validate=neighbours/Accuracy"]
    done = torchrun(2, ["run", "core/digits-moco", *spoken(given), "--out", "two"])
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("Report:") == 1
    runs.run("core/digits-moco", set=given, out=tmp_path / "one")
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 12
    assert two == pytest.approx(one, rel=1e-4)
    validated = [[line["validation"] for line in diagnosed(tmp_path / name)] for name in ("one", "two")]
    assert len(validated[0]) == 2
    assert validated[1] == pytest.approx(validated[0], abs=0.01)
    scores = [json.loads((tmp_path / name / "evaluation.json").read_text())[0]["mean"] for name in ("one", "two")]
    assert scores[1] == pytest.approx(scores[0], abs=0.01)


def test_a_killed_run_goes_on_bit_for_bit_in_as_many_processes(tmp_path: Path, launched: Launched) -> None:
    """Random views included, which every process draws for itself; another number of processes is refused."""
    given = [*spoken(settings(noise="0.2")), "--set", "training.epochs=6"]
    finish(launched(2, ["run", "core/digits-moco", *given, "--out", "whole"]))
    started = launched(2, ["run", "core/digits-moco", *given, "--out", "part"])
    part = tmp_path / "part"
    until(lambda: (part / "metrics.jsonl").exists() and len(losses(part)) > 9)
    for process in started:
        process.kill()
        process.communicate()
    with pytest.raises(ContrastError, match=r"it was made by 2 process\(es\) and goes on with as many, not with 1"):
        runs.resume(part)
    finish(launched(2, ["run", "--resume", "part"]))
    assert losses(part) == losses(tmp_path / "whole")


def test_a_process_that_comes_late_finds_the_folder_made_and_joins(tmp_path: Path, launched: Launched) -> None:
    """The folder is the first process's affair."""
    given = [*spoken(settings()), "--set", "training.steps=1"]

    def folder_is_there() -> None:
        until(lambda: (tmp_path / "late" / "run.json").exists())

    finish(launched(2, ["run", "core/digits-moco", *given, "--out", "late"], between=folder_is_there))
    assert len(losses(tmp_path / "late")) == 1


def test_a_batch_too_small_for_the_processes_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen before a folder is made."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ContrastError, match="batch_size = 1 is that of all 2 processes together"):
        runs.run("core/digits-moco", set=["training.batch_size=1"], out=tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_a_rank_alone_makes_no_follower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some launchers leave a rank in the environment of processes that train by themselves."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "1")
    assert leads()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not leads()


def finish(started: Sequence[subprocess.Popen[str]]) -> None:
    """Wait for all of them to end well."""
    for process in started:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors[-2000:]


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, a minute at most."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("It did not come true within a minute.")


def test_what_gathering_and_averaging_do(in_processes: Callable[..., list[str]]) -> None:
    """Rows in the order of ranks, from no rows to some; gradients times the number of processes; one clear error."""
    seen = [json.loads(output.splitlines()[-1]) for output in in_processes(3, "small_things.py")]
    for rank, each in enumerate(seen):
        assert each["rows"] == [1.0, 2.0, 2.0]
        assert each["known"] == [True] * 3
        assert each["group"] is True
        assert each["gradient"] == [[], [3.0], [6.0, 9.0]][rank]
        assert each["averages"] == [[1.0, 1.0], [pytest.approx(1 / 3)] * 2, None]
        assert "all need the same" in each["error"]


def test_two_processes_go_through_tasks_as_one(tmp_path: Path, torchrun: Torchrun) -> None:
    """The store keeps the same items; same losses up to float32 rounding; each task ends once."""
    given = [*settings(**FIXED)[1:], "training.steps=3", "tasks.sizes=[4,4,2]", "rehearsal.use=core/random-rehearsal",
             "rehearsal.total=50"]  # fmt: skip
    done = torchrun(2, ["run", "core/digits-continual", *spoken(given), "--out", "two"])
    assert done.returncode == 0, done.stderr[-2000:]
    runs.run("core/digits-continual", set=given, out=tmp_path / "one")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    kept = [load_file(tmp_path / name / "model.safetensors")["rehearsal.items"] for name in ("one", "two")]
    assert kept[0].tolist() == kept[1].tolist()
    assert len(json.loads((tmp_path / "two" / "tasks.json").read_text())) == 3
