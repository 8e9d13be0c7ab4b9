"""The recipes of the core, end to end, and the manifest that names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from contrast_core import describe, runs
from contrast_core.building import INTERFACES
from contrast_core.manifest import contrast_manifest
from contrast_core.recipe import load_recipe
from contrast_core.schema import parameters_of
from contrast_core.spec import Component, RecipeFile

SHORT = {
    "training.steps": 9,
    "training.batch_size": 200,
    "training.checkpoint_every": 4,
    "training.diagnose_every": 5,
    "training.threads": 1,
    "training.tensorboard": "off",
    "evaluation.probe.strengths": [0.1],
    "evaluation.clusters.runs": 1,
}
OWN = {"core/digits-protonce": {"memory.clusters.warm_up": 2, "memory.clusters.every": 2}}
"""Settings that make a short run of a recipe do all that the whole one does."""
RECIPES = [each.name for each in contrast_manifest().recipes if "digits" in each.name and "continual" not in each.name]
"""Those that bring their data; the others are run where their data sets, or tasks, are tested."""


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the report, whose map of the embedding takes longer than all the rest and has its own tests."""
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)


class StopHereError(Exception):
    """Somebody pulled the plug."""


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_evaluates_and_goes_on_after_a_stop(name: str, tmp_path: Path) -> None:
    """A run stopped between checkpoints and resumed ends with the same losses, weights and memories, bit for bit."""
    settings = {**SHORT, **OWN.get(name, {})}
    whole = runs.run(name, set=settings, out=tmp_path / "whole")
    assert set(whole.scores) == {"probe", "neighbours", "clusters"}
    assert all(0 <= score.mean <= 1 for found in whole.scores.values() for score in found)

    def stop(done: int, steps: int, text: str) -> None:
        if done == 6:
            raise StopHereError

    with pytest.raises(StopHereError):
        runs.run(name, set=settings, out=tmp_path / "halves", progress=stop)
    runs.resume(tmp_path / "halves")
    lines = [_losses(tmp_path / folder) for folder in ("whole", "halves")]
    assert len(lines[0]) == 9
    assert lines[0] == lines[1]
    one, two = (load_file(tmp_path / folder / "model.safetensors") for folder in ("whole", "halves"))
    assert one.keys() == two.keys()
    assert all(one[key].equal(two[key]) for key in one)


@pytest.mark.usefixtures("no_report")
def test_the_queue_holds_the_latest_keys_after_a_resume(tmp_path: Path) -> None:
    """Ring buffer, pointer and fill level come back with the checkpoint: 9 batches of the last epoch's order."""
    settings = {**SHORT, "memory.queue.size": 500}

    def stop(done: int, steps: int, text: str) -> None:
        if done == 6:
            raise StopHereError

    with pytest.raises(StopHereError):
        runs.run("core/digits-moco", set=settings, out=tmp_path / "run", progress=stop)
    runs.resume(tmp_path / "run")
    state = load_file(tmp_path / "run" / "model.safetensors")
    # 1,797 items in batches of 200 are eight full ones and one of 197: 1,797 rows were written.
    assert int(state["memories.queue.pointer"]) == 1797 % 500
    assert int(state["memories.queue.filled"]) == 500
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    places = torch.arange(1297, 1797) % 500
    assert state["memories.queue.sample"][places].equal(order[1297:])
    norms = state["memories.queue.rows"].norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(500))


@pytest.mark.usefixtures("no_report")
def test_prototypes_come_into_the_loss_after_the_warm_up(tmp_path: Path) -> None:
    """Before the first clustering every row of that term is dropped, afterwards none; the bank holds every image."""
    runs.run("core/digits-protonce", set={**SHORT, **OWN["core/digits-protonce"]}, out=tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    terms = [json.loads(line)["terms"]["prototypes"] for line in lines]
    assert [term["rows"] for term in terms] == [0, 0, *[600] * 6, 3 * 197]
    assert [term["dropped"] for term in terms] == [600, 600, *[0] * 7]
    assert all(term["value"] > 0 for term in terms[2:])
    state = load_file(tmp_path / "run" / "model.safetensors")
    assert int(state["memories.clusters.writes"]) == 9
    assert state["memories.clusters.bank.written"].all()
    for m, k in enumerate((10, 20, 40)):
        assert len(state[f"memories.clusters.centroids_{m}"]) == k
        torch.testing.assert_close(state[f"memories.clusters.concentration_{m}"].mean(), torch.tensor(0.2))


@pytest.mark.parametrize("component", contrast_manifest().components, ids=lambda c: f"{c.kind}:{c.name}")
def test_every_component_is_what_the_manifest_says(component: Component) -> None:
    """The class exists, has the interface of its kind, a schema, documentation, and a short summary."""
    target = component.load()
    interface = next(i for i, kind in INTERFACES.items() if kind == component.kind)
    assert issubclass(target, interface)
    parameters_of(target)
    assert describe.describe(component).documentation
    assert component.summary.endswith(".")
    assert len(component.summary) <= 80


@pytest.mark.parametrize("recipe", contrast_manifest().recipes, ids=lambda r: r.name)
def test_every_recipe_file_has_its_name(recipe: RecipeFile) -> None:
    """The file is where the manifest says, under the same name, with title, summary and paper."""
    found = load_recipe(recipe.locate())
    assert found.name == recipe.name
    assert all(found.about(key) for key in ("title", "summary", "paper"))


def _losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]
