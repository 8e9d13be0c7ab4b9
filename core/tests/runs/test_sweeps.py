"""Sweeps: a run for each value, kept and resumed by the same call, and everything checked before the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contrast_core import runs
from contrast_core.errors import ContrastError
from contrast_core.registry import Registry
from contrast_core.runfolder import about, recipe_of
from contrast_core.sweeps import sweep

Told = list[tuple[int, int, str]]


def test_each_value_gets_a_run_and_all_a_page(recipe: Path, registry: Registry) -> None:
    """In folders named after the values; other settings are alike; progress goes over all runs."""
    said: Told = []
    done = sweep(
        recipe, "training.learning_rate", [0.01, 1e-4], set={"training.seed": 3}, registry=registry,
        progress=lambda *told: said.append(told),
    )  # fmt: skip
    assert done.folder == Path("runs/local-small-by-training.learning_rate")
    assert {path.name for path in done.folder.iterdir()} == {
        "learning_rate-0.01", "learning_rate-0.0001", "sweep.html", "sweep.json"
    }  # fmt: skip
    for row, rate in zip(done.rows, (0.01, 1e-4), strict=True):
        plan = recipe_of(done.folder / row["folder"]).training
        assert (plan.learning_rate, plan.seed) == (rate, 3)
        assert about(done.folder / row["folder"])["status"] == "finished"
        scores = json.loads((done.folder / row["folder"] / "evaluation.json").read_text())
        assert row["score"] == scores[0]["mean"]
    assert [each[:2] for each in said] == [(step, 18) for step in range(1, 19)]
    assert said[-1][2].startswith("learning_rate 0.0001 (2 of 2), loss ")
    assert done.kept == 0
    assert done.page.is_file()


def test_the_same_call_keeps_what_is_finished_and_adds_what_is_new(recipe: Path, registry: Registry) -> None:
    """A finished run is not touched; more values join it in the same folder."""
    first = sweep(recipe, "training.seed", [1, 2], out="all", registry=registry)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*.safetensors")}
    said: Told = []
    again = sweep(
        recipe, "training.seed", [1, 2, 5], out="all", registry=registry, progress=lambda *told: said.append(told)
    )
    assert again.kept == 2
    assert again.rows[:2] == first.rows
    assert [row["value"] for row in again.rows] == ["1", "2", "5"]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert [each[:2] for each in said] == [(18 + step, 27) for step in range(1, 10)]


def test_an_interrupted_sweep_goes_on(recipe: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken-off run is resumed from its checkpoint, and ends as if it had never stopped."""
    changed = {"training.checkpoint_every": 2}
    whole = sweep(recipe, "training.seed", [1, 2], set=changed, out="whole", registry=registry)

    def stop(done: int, steps: int, text: str) -> None:
        if done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        sweep(recipe, "training.seed", [1, 2], set=changed, out="parts", registry=registry, progress=stop)
    assert about(Path("parts/seed-2"))["status"] == "interrupted"
    assert not Path("parts/sweep.html").exists()
    said: Told = []
    done = sweep(recipe, "training.seed", [1, 2], set=changed, out="parts", registry=registry,
                 progress=lambda *told: said.append(told))  # fmt: skip
    assert said[0][0] == 14
    assert done.kept == 1
    assert done.rows == whole.rows


def test_a_run_that_fails_leaves_the_others(recipe: Path, registry: Registry) -> None:
    """The page is written with the rest, and the sentence at the end names the value and the reason."""
    with pytest.raises(ContrastError, match=r"1 of 3 runs failed.*with objective.spread.broken=4: Step 4"):
        sweep(recipe, "objective.spread.broken", [0, 4, 100], out="all", registry=registry)
    assert about(Path("all/broken-100"))["status"] == "finished"
    text = Path("all/sweep.html").read_text("utf-8")
    assert "broken = 4: Step 4" in text
    assert len(json.loads(Path("all/sweep.json").read_text())["rows"]) == 2
    with pytest.raises(ContrastError, match=r"No run finished; with objective\.spread\.broken=1: Step 1"):
        sweep(recipe, "objective.spread.broken", [1, 2], out="none", registry=registry)
    assert not Path("none/sweep.html").exists()


def test_values_may_be_texts_and_lists(recipe: Path, registry: Registry) -> None:
    """Named without quotation marks, and in folders that every system allows."""
    done = sweep(recipe, "recipe.title", ["One / two", "äö"], set={"training.steps": 1}, out="all", registry=registry)
    assert [row["value"] for row in done.rows] == ["One / two", "äö"]
    assert [row["folder"] for row in done.rows] == ["title-One-two", "title-äö"]
    assert "One / two, by title" in done.page.read_text("utf-8")


@pytest.mark.parametrize(
    ("key", "values", "sentence"),
    [
        ("training.seed", [1], "A sweep compares at least two values of training.seed"),
        ("training.seed", [1, 1], "The values 1 and 1 of training.seed are one"),
        ("recipe.title", ["a b", "a/b"], "The values a b and a/b of recipe.title are one"),
        ("training.seed", [1, -1], "[training] seed must be from 0"),
        ("training.sed", [1, 2], "[training] has no key 'sed'"),
        ("objective.spred.broken", [1, 2], "needs a line use"),
        ("encoder.use", ["local/net", "local/nett"], "'local/nett'"),
        ("training", [1, 2], "must be a table"),
        ("training.seed", [None, 2], "The setting training.seed can't be None"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(
    recipe: Path, registry: Registry, key: str, values: list[Any], sentence: str
) -> None:
    """Also if only the last value is wrong; nothing is written."""
    before = set(Path().rglob("*"))
    with pytest.raises(ContrastError) as error:
        sweep(recipe, key, values, registry=registry)
    assert sentence in str(error.value)
    assert set(Path().rglob("*")) == before


def test_folders_of_others_are_refused(recipe: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run folder, a sweep with other settings, and a file; several processes too."""

    def call(**given: Any) -> None:
        sweep(recipe, "training.seed", [1, 2], registry=registry, **given)

    runs.run(recipe, out="alone", registry=registry)
    with pytest.raises(ContrastError, match="alone holds a run, not a sweep"):
        call(out="alone")
    call(out="all")
    with pytest.raises(ContrastError, match=r"all/seed-1 holds a run with other settings"):
        call(out="all", set={"training.epochs": 2})
    Path("file").write_text("")
    with pytest.raises(ContrastError, match="can't be created"):
        call(out="file")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ContrastError, match="A sweep runs in one process"):
        call(out="other")


def test_settings_common_to_all_stay_when_components_are_compared(tmp_path: Path) -> None:
    """Another component clears the options of the recipe's, but not those that --set gives to all."""
    settings = {"objective.contrast.temperature": 0.3, "training.steps": 1, "training.tensorboard": "off"}
    done = sweep(
        "core/digits-simclr", "objective.contrast.use", ["core/infonce", "core/dcl"], set=settings, out=tmp_path / "s"
    )
    for row in done.rows:
        options = recipe_of(done.folder / row["folder"]).tree["objective"]["contrast"]
        assert options == {"use": row["value"], "temperature": 0.3}
