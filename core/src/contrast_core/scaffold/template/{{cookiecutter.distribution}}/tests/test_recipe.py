"""The recipe, shortened, through the front door."""

from __future__ import annotations

import json
from pathlib import Path

import contrast_core as contrast


def test_the_recipe_trains_and_evaluates(tmp_path: Path) -> None:
    """The loss falls, every row counts, and both evaluators give scores between 0 and 1."""
    settings = {"training.epochs": 10, "training.threads": 1, "training.tensorboard": "off"}
    done = contrast.run("{{ cookiecutter.__domain }}/tabular", set=settings, out=tmp_path / "run")
    lines = [json.loads(line) for line in (done.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 20
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert all(line["terms"]["contrast"]["dropped"] == 0 for line in lines)
    assert set(done.scores) == {"probe", "neighbours"}
    assert all(0 <= score.mean <= 1 for scores in done.scores.values() for score in scores)
    assert (done.folder / "report.html").is_file()
