"""Data without labels: a run leaves the similarities of a batch's pairs, and disturbs nothing by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from contrast_core import results, runs
from contrast_core.diagnostics.picture import HARDEST

RECIPE = """
[recipe]
name = "mine/unlabelled"
[data]
use = "core/table"
path = "table.csv"
[view.augment]
use = "core/tensor-views"
source = "features"
names = ["one", "two"]
noise = 0.5
[encoder]
use = "core/mlp"
views = ["one", "two"]
hidden = [16]
embedding_size = 8
projection = 4
[sampler.views]
use = "core/two-views"
views = ["one", "two"]
[objective.contrast]
use = "core/infonce"
temperature = 0.5
[training]
epochs = 2
batch_size = 16
device = "cpu"
tensorboard = "off"
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with a table of 40 rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)
    rows = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)).tolist()
    lines = ["a,b,c,d,e", *(",".join(f"{value:.6f}" for value in row) for row in rows)]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def test_the_pairs_of_a_batch_are_left_for_the_report(recipe: Path) -> None:
    """Two views of 16 items, apart by the noise of the views, under the recipe's temperature."""
    folder = runs.run(recipe).folder
    found = json.loads((folder / results.PAIRS).read_text())
    assert found["temperature"] == 0.5
    assert sum(found["positives"]) == 32
    assert sum(found["negatives"]) == 32 * 30
    assert sum(found["hardest"]) == 32 * HARDEST
    assert found["summary"]["negatives"] == 30
    # Views without noise would put every positive at cosine 1.
    assert found["positives"][-1] < 32


def test_an_evaluation_later_leaves_the_same(recipe: Path) -> None:
    """And the weights and the embedding are those of the run."""
    folder = runs.run(recipe).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".safetensors")}
    runs.evaluate(folder)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".safetensors")}
    assert {name for name in after if after[name] != before[name]} == set()


def test_pairs_that_can_not_be_drawn_lose_no_run(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends without them."""

    def refuse(*_: object) -> None:
        raise ValueError("no vectors")

    monkeypatch.setattr(results, "picture", refuse)
    folder = runs.run(recipe).folder
    assert not (folder / results.PAIRS).exists()
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
