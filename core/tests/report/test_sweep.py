"""The page of a sweep: what stands in it, and that it stands there as text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from contrast_core.diagnostics import summary
from contrast_core.report.sweep import Swept, write_sweep

HARM = "<img src=x onerror=alert(1)>"


@pytest.fixture
def swept(folder: Path, tmp_path: Path) -> list[Swept]:
    """Three runs: the toy run, one that collapsed and has another score, one that failed."""
    for name in ("a 1", "b"):
        shutil.copytree(folder, tmp_path / name)
    save_file({"z": torch.ones(40, 3), "label": torch.arange(40) % 2}, tmp_path / "b" / "embedding.safetensors")
    scores = [{"evaluator": "probe", "split": "20 labels", "metric": "Macro-F1", "mean": 0.25, "deviation": None}]
    (tmp_path / "b" / "evaluation.json").write_text(json.dumps(scores))
    return [Swept("0.1", tmp_path / "a 1"), Swept("2.0", tmp_path / "b"), Swept("9", tmp_path / "c", f"NaN {HARM}")]


def test_rows_hold_the_numbers_of_each_finished_run(swept: list[Swept], tmp_path: Path) -> None:
    """The same measure of all runs, with the embedding's own numbers; the page's file of numbers says the same."""
    page, rows = write_sweep(tmp_path, "objective.a.temperature", swept)
    table = load_file(tmp_path / "a 1" / "embedding.safetensors")
    expected = summary(table["z"], table["label"])
    assert [row["value"] for row in rows] == ["0.1", "2.0"]
    assert [row["score"] for row in rows] == [0.9, 0.25]
    for name in ("uniformity", "tolerance", "effective_rank"):
        assert rows[0][name] == pytest.approx(expected[name])
    assert rows[1]["alarm"].startswith("Complete collapse")
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert written["rows"] == rows
    assert written["score"] == {"evaluator": "probe", "metric": "Macro-F1", "split": "20 labels"}
    assert page == tmp_path / "sweep.html"


def test_the_page_shows_curves_alarms_and_failures(swept: list[Swept], tmp_path: Path) -> None:
    """A dot for every value, links to the runs' reports, and no markup out of a message."""
    text = write_sweep(tmp_path, "objective.a.temperature", swept)[0].read_text("utf-8")
    for words in (
        "Uniformity", "Tolerance", "Score: Macro-F1", "Effective rank", 'href="a%201/report.html"',
        "temperature = 2.0: Complete collapse", "temperature = 9: NaN &lt;img", "Runs that did not finish",
    ):  # fmt: skip
        assert words in text
    assert text.count('class="dot') == 4 * 2
    assert "<img" not in text
    assert "<script" not in text
    assert "default-src 'none'" in text


def test_runs_without_scores_labels_or_embeddings_are_shown_as_far_as_they_go(tmp_path: Path) -> None:
    """A measure that no run has gets no figure."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_file({"z": torch.randn(30, 4)}, tmp_path / name / "embedding.safetensors")
    (tmp_path / "b" / "embedding.safetensors").unlink()
    page, rows = write_sweep(tmp_path, "x.y", [Swept("1", tmp_path / "a"), Swept("2", tmp_path / "b")])
    assert set(rows[0]) == {"value", "folder", "uniformity", "effective_rank"}
    assert set(rows[1]) == {"value", "folder"}
    text = page.read_text("utf-8")
    assert "Effective rank" in text
    assert "Tolerance" not in text
    assert "Score" not in text
