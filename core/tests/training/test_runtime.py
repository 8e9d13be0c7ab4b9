"""Devices, precision and processes."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from contrast_core import runs
from contrast_core.errors import ContrastError
from contrast_core.recipe import Training
from contrast_core.training.checkpoint import load_checkpoint
from contrast_core.training.loader import batches_per_epoch
from contrast_core.training.runtime import Runtime, device_for, moved, runtime_for

PLAIN_RUN = """
import sys
from contrast_core import runs
runs.write_report = lambda folder: folder
settings = ["training.steps=2", "training.batch_size=64", "training.device=cpu", "training.tensorboard=off"]
runs.run("core/digits-simclr", set=settings, out=sys.argv[1])
assert "accelerate" not in sys.modules
assert "tensorboard" not in sys.modules
"""


def test_a_plain_run_never_imports_accelerate(tmp_path: Path) -> None:
    """float32 on the CPU, in a fresh process, evaluation included."""
    subprocess.run([sys.executable, "-c", PLAIN_RUN, str(tmp_path / "run")], check=True, timeout=120)


def test_a_plain_plan_gets_the_plain_runtime() -> None:
    """One process, no autocast, tensors where they are."""
    runtime = runtime_for(Training(device="cpu"))
    assert type(runtime) is Runtime
    batch = {"x": torch.ones(1)}
    assert runtime.move(batch) is batch


def test_batches_move_with_everything_that_can() -> None:
    """Other values are passed on."""
    found = moved({"x": torch.ones(1), "names": ["a"]}, torch.device("meta"))
    assert found["x"].device.type == "meta"
    assert found["names"] == ["a"]


@pytest.mark.filterwarnings("ignore")
def test_bf16_runs_through_accelerate_and_resumes_exactly(
    parts: SimpleNamespace, tmp_path: Path, losses: Callable[[Path], list[float]]
) -> None:
    """Finite, unlike float32, equal after a stop; and float32 afterwards is float32 again."""
    folders = [tmp_path / name for name in ("float32", "bf16", "stopped", "again")]
    for folder in folders:
        folder.mkdir()
    options = {"epochs": 2, "checkpoint_every": 2, "clip_norm": 1.0}
    parts.fit(parts.make(**options), folders[0])
    parts.fit(parts.make(precision="bf16", **options), folders[1])

    def stop(done: int, *_: object) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parts.fit(parts.make(precision="bf16", **options), folders[2], progress=stop)
    parts.fit(parts.make(precision="bf16", **options), folders[2], resume=load_checkpoint(folders[2]))
    parts.fit(parts.make(**options), folders[3])
    assert all(map(math.isfinite, losses(folders[1])))
    assert losses(folders[1]) != losses(folders[0])
    assert losses(folders[2]) == losses(folders[1])
    assert losses(folders[3]) == losses(folders[0])


@pytest.mark.filterwarnings("ignore")
def test_a_recipe_in_bf16_ends_finite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: Callable[[Path], list[float]]
) -> None:
    """SimCLR on digits, with evaluation."""
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)
    settings = {"training": {"device": "cpu", "precision": "bf16", "steps": 4, "batch_size": 64, "tensorboard": "off"}}
    done = runs.run("core/digits-simclr", set=settings, out=tmp_path / "run")
    assert len(losses(done.folder)) == 4
    assert all(map(math.isfinite, losses(done.folder)))
    assert all(math.isfinite(score.mean) for found in done.scores.values() for score in found)


@pytest.mark.filterwarnings("ignore")
def test_accelerate_takes_other_settings_in_the_same_process() -> None:
    """Two runs or stages of different precision."""
    from contrast_core.training.runtime import _accelerator

    assert _accelerator(Training(precision="bf16"), "cpu").mixed_precision == "bf16"
    assert _accelerator(Training(precision="float32"), "cpu").mixed_precision == "no"


def test_missing_accelerate_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with the line for pip."""
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ContrastError, match=r"with precision 'bf16' needs Accelerate: "
                                            r"pip install contrast-core\[accelerate\]$"):  # fmt: skip
        runtime_for(Training(device="cpu", precision="bf16"))


def test_only_training_joins_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluation and embedding, which ask for a device too, do not wait for anybody."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert runtime_for(Training(device="cpu")).processes.size == 1


def test_a_batch_needs_an_item_for_each_process(parts: SimpleNamespace) -> None:
    """One sentence; and a last batch with fewer is left out."""
    with pytest.raises(ContrastError, match="batch_size = 2 is that of all 3 processes together"):
        batches_per_epoch(parts.Rows(), Training(batch_size=2), processes=3)
    steps = [batches_per_epoch(parts.Rows(), Training(batch_size=4), processes=n) for n in (1, 2, 3)]
    assert steps == [3, 3, 2]


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("tpu", "float32", "must be 'auto', 'cpu', 'cuda' or 'mps', not 'tpu'"),
        ("cuda", "float32", "torch finds no CUDA device"),
        ("mps", "float32", "torch finds no Apple GPU"),
        ("cpu", "fp16", "'fp16' needs a CUDA device; on 'cpu' use 'bf16' or 'float32'"),
    ],
)
def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch, device: str, precision: str, message: str) -> None:
    """One sentence each."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    plan = Training(precision=precision)  # type: ignore[arg-type]
    object.__setattr__(plan, "device", device)
    with pytest.raises(ContrastError, match=message):
        device_for(plan)
