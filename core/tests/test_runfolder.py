"""Where runs go, and what is said about folders that hold none."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from contrast_core.errors import ContrastError
from contrast_core.recipe import parse_recipe
from contrast_core.runfolder import about, begin, new_folder, recipe_of, update

RECIPE = parse_recipe('[recipe]\nname = "mine/first"\n[training]\nepochs = 3\n')


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_first_free_folder_is_taken_and_not_yet_created() -> None:
    """runs/NAME, then with numbers."""
    assert new_folder(RECIPE, None) == Path("runs/mine-first")
    assert not Path("runs").exists()
    for name in ("mine-first", "mine-first-2"):
        Path("runs", name).mkdir(parents=True)
    assert new_folder(RECIPE, None) == Path("runs/mine-first-3")


@pytest.mark.parametrize("name", ["..", "../../etc", "/etc/x", "a\\b c", "", "."])
def test_a_recipe_can_not_choose_a_place_outside_of_runs(name: str) -> None:
    """Whatever it calls itself."""
    recipe = parse_recipe(f"[recipe]\nname = '{name}'")
    folder = new_folder(recipe, None)
    assert folder.parent == Path("runs")
    assert folder.name not in ("", "..", ".")


def test_a_folder_of_ones_own_must_be_free_and_possible() -> None:
    """Empty or new, below a folder; the message names --resume only where there is a run."""
    Path("empty").mkdir()
    assert new_folder(RECIPE, Path("empty")) == Path("empty")
    assert new_folder(RECIPE, Path("a/b/c")) == Path("a/b/c")
    Path("file").write_text("")
    Path("full").mkdir()
    Path("full/x").write_text("")
    begin(Path("run"), RECIPE, {})
    for out, sentence in {
        "file": "file is a file: choose another --out.",
        "full": "full is not empty: choose another --out.",
        "run": "run holds a run already: choose another --out, or go on with it: --resume run.",
        "file/below": "The run folder file/below can't be created: ",
    }.items():
        with pytest.raises(ContrastError) as error:
            new_folder(RECIPE, Path(out))
        assert sentence in str(error.value)


def test_two_runs_do_not_share_a_folder() -> None:
    """The one that comes second is told so and changes nothing."""
    begin(Path("run"), RECIPE, {"seed": 1})
    with pytest.raises(ContrastError, match="Another run has just taken run"):
        begin(Path("run"), RECIPE, {"seed": 2})
    assert about(Path("run")) == {"seed": 1}


def test_what_is_begun_can_be_read_and_changed() -> None:
    """The resolved recipe, trusted, with further settings; run.json by entries."""
    begin(Path("deep/run"), parse_recipe("[training]\nepochs = 3", settings=["training.seed=5"]), {"status": "running"})
    update(Path("deep/run"), status="finished", steps=4)
    assert about(Path("deep/run")) == {"status": "finished", "steps": 4}
    recipe = recipe_of(Path("deep/run"), ["training.epochs=9"])
    assert (recipe.training.epochs, recipe.training.seed, recipe.folder) == (9, 5, None)
    assert sorted(p.name for p in Path("deep/run").iterdir()) == ["recipe.toml", "run.json"]


def test_paths_that_composing_found_are_written_absolute(tmp_path: Path) -> None:
    """In tables, lists and stages; the recipe itself stays as it was."""
    text = '[data]\nuse = "x"\npath = "a.csv"\nmore = ["b", "c"]\n[[stage]]\n[stage.data]\npath = "d.csv"\n[[stage]]\n'
    recipe = parse_recipe(text)
    recipe.remember("data.path", tmp_path / "a.csv")
    recipe.remember("data.more.2", tmp_path / "c")
    first, second = (stage for _, stage in recipe.stages())
    first.remember("data.path", tmp_path / "d.csv")
    second.remember("data.path", Path("a.csv"))
    begin(Path("run"), recipe, {})
    written = tomllib.loads(Path("run/recipe.toml").read_text())
    assert written["data"] == {"use": "x", "path": str(tmp_path / "a.csv"), "more": ["b", str(tmp_path / "c")]}
    assert written["stage"] == [{"data": {"path": str(tmp_path / "d.csv")}}, {}]
    assert recipe.tree["data"]["path"] == "a.csv"


def test_folders_without_a_run() -> None:
    """Each case has its sentence."""
    Path("file").write_text("")
    Path("empty").mkdir()
    Path("damaged").mkdir()
    Path("damaged/run.json").write_text("{")
    Path("list").mkdir()
    Path("list/run.json").write_text("[]")
    for name, sentence in {
        "nowhere": "nowhere is no run folder: there is no such folder.",
        "empty": "empty is no run folder: it has no run.json.",
        "file": "file is no run folder: it is a file.",
        "damaged": "run.json is damaged: ",
        "list": "run.json is damaged: it holds no table.",
    }.items():
        with pytest.raises(ContrastError) as error:
            recipe_of(Path(name))
        assert sentence in str(error.value)
