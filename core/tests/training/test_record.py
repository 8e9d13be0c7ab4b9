"""Metrics files and TensorBoard's, also after a resume."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Term
from contrast_core.training.checkpoint import load_checkpoint
from contrast_core.training.record import Record, check_tensorboard


def write(record: Record, *steps: int) -> None:
    """A line of each kind for each step."""
    for step in steps:
        record.step({"step": step, "loss": float(step)}, {"a": Term(torch.tensor(2.0), 3, 1, 0.5, {"t": 0.1})})
        record.diagnostics({"step": step, "rank": float(step)})


def steps(path: Path) -> list[int]:
    """The steps in a file."""
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def events(folder: Path) -> Any:
    """What TensorBoard reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(folder / "tensorboard"))
        found.Reload()
    return found


def test_terms_are_described_whole(tmp_path: Path) -> None:
    """Value, weight, rows, dropped and further numbers."""
    record = Record(tmp_path, "off")
    write(record, 1)
    record.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "step": 1, "loss": 1.0, "scalars": {"a/t": 0.1},
        "terms": {"a": {"value": 2.0, "weight": 0.5, "rows": 3, "dropped": 1}},
    }  # fmt: skip


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    """Both files; None keeps them."""
    record = Record(tmp_path, "off")
    write(record, 1, 2)
    metrics, diagnostics = record.sizes()
    write(record, 3)
    record.close()
    record = Record(tmp_path, "off", (metrics, diagnostics), 3)
    write(record, 30)
    record.close()
    record = Record(tmp_path, "off", None, 31)
    write(record, 31)
    assert record.sizes() == [(tmp_path / name).stat().st_size for name in ("metrics.jsonl", "diagnostics.jsonl")]
    record.close()
    for name in ("metrics.jsonl", "diagnostics.jsonl"):
        assert steps(tmp_path / name) == [1, 2, 30, 31]


@pytest.mark.parametrize("left", ["", '{"step": 1}\n', '{"step": 1'])
def test_a_file_that_lost_its_end_is_not_filled_up(tmp_path: Path, left: str) -> None:
    """No zeros, and a new line begins a line."""
    (tmp_path / "metrics.jsonl").write_text(left)
    record = Record(tmp_path, "off", (1000, 1000), 2)
    write(record, 2)
    record.close()
    assert "\0" not in (tmp_path / "metrics.jsonl").read_text()
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 2


@pytest.mark.parametrize("wanted", ["on", "auto"])
def test_tensorboard_reads_what_was_written(tmp_path: Path, wanted: str) -> None:
    """Loss, terms, further numbers, geometry."""
    record = Record(tmp_path, wanted)
    write(record, 1, 2)
    record.close()
    found = events(tmp_path)
    assert sorted(found.Tags()["scalars"]) == ["a/t", "geometry/rank", "loss", "terms/a"]
    assert [(each.step, each.value) for each in found.Scalars("loss")] == [(1, 1.0), (2, 2.0)]


def test_after_a_resume_every_step_has_one_event(parts: SimpleNamespace, tmp_path: Path) -> None:
    """Steps that were lost with the process are purged."""

    def interrupt(done: int, *_: Any) -> None:
        if done == 5:
            raise KeyboardInterrupt

    options = {"tensorboard": "on", "checkpoint_every": 2, "epochs": 2}
    with pytest.raises(KeyboardInterrupt):
        parts.fit(parts.make(**options), tmp_path, progress=interrupt)
    parts.fit(parts.make(**options), tmp_path, resume=load_checkpoint(tmp_path))
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    scalars = events(tmp_path).Scalars("loss")
    assert [each.step for each in scalars] == [1, 2, 3, 4, 5, 6]
    assert [each.value for each in scalars] == pytest.approx([line["loss"] for line in written])


def test_starting_over_forgets_old_events(parts: SimpleNamespace, tmp_path: Path) -> None:
    """Killed before the first checkpoint."""
    for _ in range(2):
        parts.fit(parts.make(tensorboard="on", epochs=1), tmp_path)
    assert [each.step for each in events(tmp_path).Scalars("loss")] == [1, 2, 3]


def test_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "auto" does without, "on" gives the line to install it and touches no file."""
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ContrastError, match=r"pip install contrast-core\[tensorboard\]"):
        check_tensorboard("on")
    with pytest.raises(ContrastError, match="tensorboard is missing"):
        Record(tmp_path, "on")
    assert not list(tmp_path.iterdir())
    Record(tmp_path, "auto").close()
    assert not (tmp_path / "tensorboard").exists()


def test_off_writes_no_events(tmp_path: Path) -> None:
    """Only the two files."""
    Record(tmp_path, "off").close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["diagnostics.jsonl", "metrics.jsonl"]
