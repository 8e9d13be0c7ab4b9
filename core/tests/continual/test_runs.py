"""Whole runs over tasks: the course, the teacher, what a run leaves, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import contrast_core as contrast
from contrast_core import runs
from contrast_core.assembly import assemble
from contrast_core.data.digits import Digits
from contrast_core.errors import ContrastError
from contrast_core.recipe import load_recipe
from contrast_core.registry import Plugin, Registry, discover
from contrast_core.spec import API, Component, Manifest
from contrast_core.stepper import Stepper
from contrast_core.sweeps import sweep
from contrast_core.tasks import Task
from contrast_core.training.legs import InTask, tasks_of

MLP = {"use": "core/mlp", "views": ["one", "two"], "hidden": [16], "embedding_size": 8, "projection": 8}
SMALL: dict[str, Any] = {
    "training.steps": 4, "training.device": "cpu", "training.threads": 1, "training.tensorboard": "off",
    "tasks.sizes": [2, 3, 2, 3], "encoder": MLP,
}  # fmt: skip
DISTILLED: dict[str, Any] = {
    "encoder": {"use": "core/task-teacher", "encoder": MLP, "reads": {"two": "one"}},
    "sampler.past": {"use": "core/cross", "anchors": "one", "candidates": "one-teacher", "name": "past"},
    "objective.past": {"use": "core/infonce", "pairs": "past"},
}


class Dated(Digits):
    """Digits that come in the order of their numbers, in two halves that share some items."""

    @property
    def tasks(self) -> Sequence[Task]:
        """Two tasks."""
        train, every = self.splits["all"].train.sort().values, torch.arange(len(self))
        return [Task("early", train[:500], every[:1000]), Task("late", train[400:], every[800:])]


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have tests of their own."""
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """What was recorded of each step."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_goes_task_by_task(tmp_path: Path) -> None:
    """Progress names the task, each has its steps, the store is shared by all classes, scores over tasks are given."""
    told: list[str] = []
    run = contrast.run(
        "core/digits-continual", set=SMALL, out=tmp_path / "run", progress=lambda done, steps, text: told.append(text)
    )
    assert [text.split(",")[0] for text in told] == [f"task {task}/4" for task in (1, 2, 3, 4) for _ in range(4)]
    measured = json.loads((run.folder / "tasks.json").read_text())
    assert [len({one["on"] for one in after}) for after in measured] == [2, 3, 4, 5]
    scores = {(score.split, score.metric): score.mean for score in run.scores["tasks"]}
    whole = {score.metric: score.mean for score in run.scores["neighbours"]}
    assert scores["neighbours/Accuracy", "Last"] == whole["Accuracy"]
    assert {metric for _, metric in scores} == {"Average", "Last", "Forgetting", "Backward transfer"}
    figures = json.loads((run.folder / "figures.json").read_text())
    assert [figure["kind"] for figure in figures] == ["matrix", "matrix", "lines"]
    items = load_file(run.folder / "model.safetensors")["rehearsal.items"]
    data = Digits()
    data.load()
    assert data.labels is not None
    assert data.labels[items].bincount().tolist() == [10] * 10
    assert torch.isin(items, data.splits["all"].train).all()


def test_a_finished_run_is_evaluated_embedded_and_exported(tmp_path: Path) -> None:
    """The same scores again; an embedding of all items; an encoder that others can load."""
    run = contrast.run("core/digits-continual", set={**SMALL, **DISTILLED}, out=tmp_path / "run")
    before = (run.folder / "evaluation.json").read_text()
    contrast.evaluate(run.folder)
    assert (run.folder / "evaluation.json").read_text() == before
    assert len(contrast.embed(run.folder)) == 1797
    module = contrast.load_encoder(run.folder)
    assert module(torch.rand(3, 1, 8, 8)).shape == (3, 8)


def test_there_is_a_teacher_from_the_second_task_on(tmp_path: Path) -> None:
    """In the first task its terms count no rows; later it is the model as it was at the border, and stays."""
    run = contrast.run("core/digits-continual", set={**SMALL, **DISTILLED}, out=tmp_path / "run")
    rows = [line["terms"]["past"]["rows"] for line in lines_of(run.folder)]
    assert rows[:4] == [0] * 4
    assert all(rows[4:])
    model = load_file(run.folder / "model.safetensors")
    # The last border is the end: teacher and student are the same there.
    name = "backbone.0.weight"
    assert torch.equal(model[f"encoder.teacher.{name}"], model[f"encoder.encoder.{name}"])


def test_the_optimiser_and_the_schedule_begin_anew_or_go_on(tmp_path: Path) -> None:
    """With restart each task has the whole schedule; without, one schedule lies over all tasks."""
    found = {}
    for restart in (True, False):
        given = {**SMALL, "tasks.restart": restart, "training.learning_rate": 1e-2}
        run = contrast.run("core/digits-continual", set=given, out=tmp_path / str(restart))
        found[restart] = [line["loss"] for line in lines_of(run.folder)]
    assert found[True][0] == found[False][0]
    assert found[True] != found[False]
    kept = torch.load(next((tmp_path / "True").glob("checkpoint-*.pt")), weights_only=True)
    assert kept["optimizer"]["state"] == {}
    kept = torch.load(next((tmp_path / "False").glob("checkpoint-*.pt")), weights_only=True)
    assert kept["optimizer"]["state"]


def test_data_may_bring_their_own_tasks(tmp_path: Path) -> None:
    """An item that comes again is new again; other stores work as well."""
    registry = discover()
    own = Component("data", "local/dated", f"{__name__}:Dated", "Digits in two halves.")
    plugins = [*registry.plugins, Plugin("local", "contrast-local", "1.0", Manifest(API, [own]), "", (), 0.0)]
    given = {
        **SMALL, "data.use": "local/dated", "tasks": {"use": "core/given-tasks", "measure": ["neighbours/Accuracy"]},
        "rehearsal": {"use": "core/reservoir", "total": 40},
    }  # fmt: skip
    run = contrast.run("core/digits-continual", set=given, out=tmp_path / "run", registry=Registry(plugins))
    assert {score.metric for score in run.scores["tasks"]} == {"Average", "Last", "Forgetting", "Backward transfer"}
    model = load_file(run.folder / "model.safetensors")
    assert len(model["rehearsal.items"].unique()) == 40


def test_tables_say_which_rows_are_rehearsal() -> None:
    """By the sample of each row, in every table of the encoder; nothing is said outside of training."""
    recipe = load_recipe(discover().recipe("core/digits-continual").locate(), ["tasks.sizes=[2, 8]"])
    made = assemble(recipe, discover())
    tasks = tasks_of(made)
    items = torch.cat([tasks[1].items[:5], tasks[0].items[:3]])
    flow = made.pipeline.encode(InTask(made.data, tasks, 1).batch(items))
    assert flow["one"]["rehearsal"].tolist() == flow["two"]["rehearsal"].tolist() == [0] * 5 + [1] * 3
    assert "rehearsal" not in made.pipeline.encode(made.data.batch(items))["one"]


def test_stores_are_swept(tmp_path: Path) -> None:
    """A run for each value."""
    made = sweep("core/digits-continual", "rehearsal.in_batch", [0, 8], set=SMALL, out=tmp_path / "sweep")
    assert len(list(made.folder.glob("*/tasks.json"))) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"tasks.sizes": [5, 4]},
            r"^digits-continual.toml, line [0-9]+: \[tasks\] sizes = \[5, 4\] add up to 9, but there are 10 classes",
        ),
        ({"tasks.sizes": [1, 9]}, r"first task \(.\) has one class only"),
        ({"tasks.sizes": [10]}, r"1 task\(s\); a sequence has at least two"),
        ({"training.patience": 3}, r"\[training\] patience would end training before the last task"),
        ({"training.validate": "neighbours/Accuracy"}, r"\[training\] validate would end"),
        ({"tasks.measure": ["probe/Accuracy"]}, r"not 'probe/Accuracy'; the recipe's evaluators are: neighbours"),
        ({"evaluation.tasks": {"use": "core/knn"}}, r"rename \[evaluation.tasks\]"),
        ({"rehearsal.total": 5, "tasks.sizes": [8, 2]}, r"\[rehearsal\] total = 5 is less than one item of each"),
        ({"tasks.measure": ["neighbours/Precision"]}, r"gives no score 'Precision', only Accuracy/all"),
        ({"stage": [{"name": "one"}]}, r"either \[tasks\] or stages, not both"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    """In one sentence that says where."""
    with pytest.raises(ContrastError, match=said):
        contrast.run("core/digits-continual", set={**SMALL, **given}, out=tmp_path / "run")


def test_a_store_without_tasks_is_refused(tmp_path: Path) -> None:
    """Nothing ends."""
    with pytest.raises(ContrastError, match=r"there is no section \[tasks\]"):
        contrast.run("core/digits-supcon", set={"rehearsal": {"use": "core/herding", "total": 9}}, out=tmp_path / "run")


def test_a_loop_of_ones_own_refuses_tasks() -> None:
    """It could not say when one ends."""
    with pytest.raises(ContrastError, match="only a run knows where one ends"):
        Stepper("core/digits-continual", first={})
