"""The Python API: run, resume, evaluate, embed, report, and what is written when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from contrast_core import runs
from contrast_core.errors import ContrastError
from contrast_core.registry import Registry


def about(folder: Path) -> dict[str, Any]:
    """run.json."""
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Every file."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_leaves_everything(recipe: Path, registry: Registry) -> None:
    """Recipe, facts, weights, embedding, names, scores; and the next run gets the next folder."""
    said: list[tuple[int, int, str]] = []
    done = runs.run(recipe, registry=registry, progress=lambda *told: said.append(told), set={"training.seed": 3})
    assert done.folder == Path("runs/local-small")
    assert [each[:2] for each in said] == [(step, 9) for step in range(1, 10)]
    facts = about(done.folder)
    assert (facts["status"], facts["steps"], facts["seed"], facts["parameters"]) == ("finished", 9, 3, 8)
    assert facts["versions"]["contrast-local"] == "1.0"
    table = load_file(done.folder / "embedding.safetensors")
    assert table["z"].shape == (10, 2)
    assert table["label"].tolist() == [0, 1] * 5
    assert json.loads((done.folder / "names.json").read_text())[3] == "row 3"
    assert json.loads((done.folder / "evaluation.json").read_text())[0]["mean"] == done.scores["spread"][0].mean
    described = json.loads((done.folder / "encoder.json").read_text())
    assert (described["component"], described["distribution"]) == ("local/net", "contrast-local")
    assert load_file(done.folder / "encoder.safetensors").keys() == {"layer.weight", "layer.bias"}
    assert runs.run(recipe, registry=registry).folder == Path("runs/local-small-2")


def test_the_same_recipe_gives_the_same_bits(recipe: Path, registry: Registry) -> None:
    """Whatever the caller's generators hold, which stay as they were."""
    torch.manual_seed(1)
    first = runs.run(recipe, registry=registry)
    expected = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), expected)
    second = runs.run(recipe, registry=registry)
    assert first.scores["spread"][0].mean == second.scores["spread"][0].mean
    one, two = (load_file(each.folder / "model.safetensors") for each in (first, second))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_evaluate_and_embed_give_what_the_run_gave(recipe: Path, registry: Registry) -> None:
    """Also an evaluator that draws from a global generator; other settings are taken."""
    done = runs.run(recipe, registry=registry)
    kept = load_file(done.folder / "embedding.safetensors")
    again = runs.evaluate(done.folder, registry=registry)
    assert again.scores["spread"][0].mean == done.scores["spread"][0].mean
    table = runs.embed(done.folder, registry=registry)
    assert torch.equal(table.z, kept["z"])
    assert torch.equal(table["label"], kept["label"])
    twice = runs.evaluate(done.folder, set={"evaluation.spread.scale": 2.0}, registry=registry)
    assert twice.scores["spread"][0].mean == 2 * done.scores["spread"][0].mean
    assert len(runs.embed(done.folder, set={"data.count": 3}, registry=registry)) == 3


def test_an_evaluator_s_figures_are_kept_apart_from_its_scores(recipe: Path, registry: Registry) -> None:
    """In a file of their own, while there are any; a validation on that evaluator does not mind them."""
    settings = {"evaluation.spread.show": True, "training.validate": "spread/mean"}
    done = runs.run(recipe, set=settings, registry=registry)
    assert [score.metric for score in done.scores["spread"]] == ["mean"]
    (figure,) = json.loads((done.folder / "figures.json").read_text())
    assert (figure["kind"], figure["title"]) == ("lines", "Mean")
    runs.evaluate(done.folder, set={"evaluation.spread.show": False}, registry=registry)
    assert not (done.folder / "figures.json").exists()


def test_resuming_a_finished_run_changes_nothing_that_matters(recipe: Path, registry: Registry) -> None:
    """No new step and the same results."""
    done = runs.run(recipe, registry=registry)
    before = contents(done.folder)
    again = runs.resume(done.folder, registry=registry)
    assert again.scores["spread"][0].mean == done.scores["spread"][0].mean
    after = contents(done.folder)
    assert {name for name in before if before[name] != after[name]} <= {"run.json"}
    facts = about(done.folder)
    assert (facts["status"], facts["steps"]) == ("finished", 9)


def test_an_interrupted_run_knows_its_folder_and_goes_on(recipe: Path, registry: Registry) -> None:
    """Ctrl-C in a step; afterwards the same bits."""

    def stop(done: int, *_: Any) -> None:
        if done == 5:
            raise KeyboardInterrupt

    settings = {"training.checkpoint_every": 2}
    with pytest.raises(runs.Interrupted) as caught:
        runs.run(recipe, set=settings, out="stopped", progress=stop, registry=registry)
    assert isinstance(caught.value, KeyboardInterrupt)
    assert caught.value.folder == Path("stopped")
    assert str(caught.value) == "Interrupted; go on with: contrast run --resume stopped"
    assert about(Path("stopped"))["status"] == "interrupted"
    with pytest.raises(runs.Interrupted):
        runs.resume("stopped", progress=lambda done, *_: stop(done - 2), registry=registry)
    runs.resume("stopped", registry=registry)
    straight = runs.run(recipe, set=settings, registry=registry)
    one, two = (load_file(each / "model.safetensors") for each in (Path("stopped"), straight.folder))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert about(Path("stopped"))["status"] == "finished"


@pytest.mark.parametrize("in_stage", [False, True])
def test_a_run_with_a_relative_path_goes_on_from_elsewhere(
    recipe: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, in_stage: bool
) -> None:
    """The recipe's path is relative to the recipe, for the run and whatever is done with it later."""
    (recipe.parent / "count.txt").write_text("7")
    stages = '[[stage]]\nname = "a"\n[[stage]]\nname = "b"\ndata = { path = "count.txt" }\n' if in_stage else ""
    path = "" if in_stage else '\npath = "count.txt"'
    recipe.write_text(recipe.read_text().replace('use = "local/numbers"', f'use = "local/numbers"{path}') + stages)

    def stop(done: int, *_: Any) -> None:
        if done == 2:
            raise KeyboardInterrupt

    folder = recipe.parent / "run"
    with pytest.raises(runs.Interrupted):
        runs.run(recipe, set={"training.checkpoint_every": 1}, out=folder, progress=stop, registry=registry)
    (recipe.parent / "away").mkdir()
    monkeypatch.chdir(recipe.parent / "away")
    runs.resume(folder, registry=registry)
    runs.resume(folder, registry=registry)
    assert len(runs.embed(folder, registry=registry)) == 7


def test_a_run_that_becomes_nan_says_so_and_leaves_no_model(recipe: Path, registry: Registry) -> None:
    """In the error and in run.json; evaluating it is refused."""
    with pytest.raises(ContrastError, match=r"^Step 4: The loss term 'spread' became nan"):
        runs.run(recipe, set={"objective.spread.broken": 4}, out="nan", registry=registry)
    assert about(Path("nan"))["status"] == "failed: Step 4: The loss term 'spread' became nan; training stopped."
    assert not list(Path("nan").glob("*.safetensors"))
    with pytest.raises(ContrastError, match=r"holds no trained model \(status: failed: .*--resume nan"):
        runs.evaluate("nan", registry=registry)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.problem": "value"}, r"--set data.problem=.*|small.toml, line 5: data \(local/numbers\): there is no"),
        ({"data.problem": "os"}, r"data \(local/numbers\): there is no such file\."),
        ({"data.problem": "import"}, r"data \(local/numbers\): there is no such file\."),
        ({"data.problem": "contrast"}, r"data \(local/numbers\): there is no such file\."),
        ({"data.count": 0}, r"data \(local/numbers\): it has no items\."),
        ({"encoder.refuse": True}, r"small.toml, line 7: \[encoder\] rows of three numbers are too wide\."),
        ({"encoder.wide": 3}, "encoder .* has no key 'wide'"),
        ({"encoder.use": "local/nett"}, "There is no encoder 'local/nett'"),
        ({"training.groups": {"x": {"parameters": ["sampler.*"]}}}, "matches no parameter"),
        ({"stage": [{"name": "a"}, {"name": "b", "encoder": {"use": "local/none"}}]}, "no encoder 'local/none'"),
        ({"stage": [{"training": {"epochs": 1}}, {"training": {"precision": "fp16"}}]}, "'fp16' needs a CUDA device"),
    ],
)  # fmt: skip
def test_nothing_is_written_when_something_does_not_fit(
    recipe: Path, registry: Registry, settings: dict[str, Any], message: str
) -> None:
    """One sentence with its place, and no folder; also for later stages."""
    with pytest.raises(ContrastError, match=message) as caught:
        runs.run(recipe, set=settings, registry=registry)
    assert "\n" not in str(caught.value)
    assert not Path("runs").exists()


def test_a_folder_that_is_taken_is_refused(recipe: Path, registry: Registry) -> None:
    """An empty one is fine, a file is not."""
    Path("empty").mkdir()
    runs.run(recipe, out="empty", registry=registry)
    with pytest.raises(ContrastError, match=r"empty (holds a run|exists) already: .*--resume empty"):
        runs.run(recipe, out="empty", registry=registry)
    Path("file").touch()
    with pytest.raises(ContrastError, match="file"):
        runs.run(recipe, out="file/inner", registry=registry)


def test_two_runs_that_start_together_get_two_folders(
    recipe: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one takes the name while this one loads its data."""
    numbers = registry.component("data", "local/numbers").load()
    load = numbers.load

    def slow(self: Any) -> None:
        load(self)
        if not Path("runs/local-small").exists():
            Path("runs/local-small").mkdir(parents=True)

    monkeypatch.setattr(numbers, "load", slow)
    assert runs.run(recipe, registry=registry).folder == Path("runs/local-small-2")


def damaged(folder: Path) -> None:
    """A checkpoint that lost its end."""
    file = next(folder.glob("checkpoint-*.pt"))
    file.write_bytes(file.read_bytes()[:100])


def other_recipe(folder: Path) -> None:
    """Somebody edited the recipe."""
    file = folder / "recipe.toml"
    file.write_text(file.read_text().replace("epochs = 3", "epochs = 4"))


def other_stages(folder: Path) -> None:
    """The checkpoint's stage is gone."""
    pointer = json.loads((folder / "checkpoint.json").read_text())
    state = torch.load(folder / pointer["file"], weights_only=True)
    from contrast_core.training.checkpoint import save_checkpoint

    save_checkpoint(folder, {**state, "stage": 2}, pointer["step"])


@pytest.mark.parametrize(
    ("harm", "message"),
    [(damaged, "is damaged"), (other_recipe, "other settings"), (other_stages, "does not have")],
)
def test_a_resume_that_is_refused_leaves_the_folder_as_it_was(
    recipe: Path, registry: Registry, harm: Callable[[Path], None], message: str
) -> None:
    """Not even its status changes."""
    folder = runs.run(recipe, registry=registry).folder
    harm(folder)
    before = contents(folder)
    with pytest.raises(ContrastError, match=message):
        runs.resume(folder, registry=registry)
    assert contents(folder) == before


@pytest.mark.parametrize("function", [runs.resume, runs.evaluate, runs.embed])
def test_a_folder_without_a_run(recipe: Path, function: Callable[..., Any]) -> None:
    """One sentence."""
    with pytest.raises(ContrastError, match=r"is no run folder"):
        function("nothing")


def test_a_model_that_does_not_fit_the_data_is_refused(recipe: Path, registry: Registry) -> None:
    """A buffer as long as the data, and a damaged file."""
    recipe.write_text(recipe.read_text() + '[memory.rows]\nuse = "local/rows"\n')
    folder = runs.run(recipe, registry=registry).folder
    before = contents(folder)
    for settings in ({"data.count": 3}, {"encoder.width": 5}):
        with pytest.raises(ContrastError, match=r"can't be used with these data and settings: .*size mismatch"):
            runs.evaluate(folder, set=settings, registry=registry)
    assert contents(folder) == before
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ContrastError, match=r"model\.safetensors can't be read, it may be damaged"):
        runs.embed(folder, registry=registry)


def test_an_evaluator_that_refuses_is_named(recipe: Path, registry: Registry) -> None:
    """With its place; the trained model stays."""
    with pytest.raises(ContrastError, match=r"\[evaluation.spread\] there are no labels to test on\."):
        runs.run(recipe, set={"evaluation.spread.fail": True}, out="run", registry=registry)
    assert (Path("run") / "model.safetensors").exists()
    assert runs.evaluate("run", set={"evaluation.spread.fail": False}, registry=registry).scores["spread"]


def test_a_run_folder_removed_while_training(recipe: Path, registry: Registry) -> None:
    """The first problem is told, and the folder does not come back."""

    def remove(done: int, *_: Any) -> None:
        if done == 3:
            Path("run").rename("elsewhere")

    with pytest.raises(ContrastError, match="run folder run is gone"):
        runs.run(recipe, out="run", progress=remove, registry=registry)
    assert not Path("run").exists()


def test_stages_take_over_weights_that_fit(recipe: Path, registry: Registry) -> None:
    """The second stage trains not at all and has the first one's weights; another width keeps its own."""
    stages = [{"name": "one", "training": {"epochs": 2}}, {"name": "two", "training": {"learning_rate": 0.0}}]
    first = runs.run(recipe, set={"training.epochs": 2}, registry=registry)
    both = runs.run(recipe, set={"stage": stages}, registry=registry)
    one, two = (load_file(each.folder / "model.safetensors") for each in (first, both))
    assert torch.equal(one["encoder.layer.weight"], two["encoder.layer.weight"])
    metrics = [json.loads(line) for line in (both.folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in metrics] == [
        ("one" if step <= 6 else "two", step) for step in range(1, 16)
    ]
    wider = [stages[0], {"name": "two", "encoder": {"width": 3}}]
    assert runs.embed(
        runs.run(recipe, set={"stage": wider}, registry=registry).folder, registry=registry
    ).z.shape == (10, 3)  # fmt: skip


def test_recipes_are_found_by_name_and_by_path(recipe: Path, registry: Registry) -> None:
    """A registered name, its short form, a path with and without the ending."""
    from contrast_core.registry import discover

    assert runs.find_recipe("core/digits-simclr", discover()).name == "core/digits-simclr"
    assert runs.find_recipe("digits-moco", discover()).name == "core/digits-moco"
    assert runs.find_recipe(str(recipe), registry).name == "local/small"
    Path("plain").write_text(recipe.read_text())
    assert runs.find_recipe("plain", registry).name == "local/small"
    with pytest.raises(ContrastError, match=r"missing.toml can't be read"):
        runs.find_recipe("missing.toml", registry)
    with pytest.raises(ContrastError, match="There is no recipe 'missing'"):
        runs.find_recipe("missing", registry)


def test_a_report_is_written_for_a_run_alone(tmp_path: Path) -> None:
    """Another folder is refused."""
    with pytest.raises(ContrastError, match="is no run folder"):
        runs.write_report(tmp_path)
