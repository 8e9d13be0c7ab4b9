"""Bad input to run, evaluate, report and embed: one sentence, exit code 2, and nothing left on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contrast_core import runs
from contrast_core.cli import main
from contrast_core.registry import Plugin, Registry, discover
from contrast_core.spec import Component, Manifest

GOOD = """
[recipe]
name = "../../escape"
[data]
use = "core/table"
path = "table.csv"
[encoder]
use = "core/mlp"
views = ["features"]
[objective.a]
use = "core/uniformity"
table = "features"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder with recipes and things that are no runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONTRAST_PLUGINS", raising=False)
    (tmp_path / "outside.csv").write_text("a,b\n1,2\n")
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    for name, text in {
        "misspelt": GOOD.replace("views", "viws"),
        "outside": GOOD.replace("table.csv", "../outside.csv"),
        "missing": GOOD,
        "nothing": "",
        "damaged": "[data",
    }.items():
        (recipes / f"{name}.toml").write_text(text)
    (recipes / "latin.toml").write_bytes(b"# \xe4\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"status": "interrupted"}))
    (tmp_path / "run" / "recipe.toml").write_text(GOOD)
    return tmp_path


SIMCLR = ["run", "core/digits-simclr"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run"], "Say what to run: a recipe (contrast run graph/meow), or --resume and a run folder."),
        (["run", "x", "--resume", "run"], "Give either a recipe to start or --resume and a run folder to go on with,"),
        (["run", "--resume", "run", "--set", "training.epochs=3"], "--resume goes on with the run as it was; --set an"),
        (["run", "--resume", "full"], "full is no run folder: it has no run.json."),
        (["run", "--resume", "nowhere"], "nowhere is no run folder: there is no such folder."),
        (["run", "core/digits-simcrl"], "There is no recipe 'core/digits-simcrl'. Did you mean core/digits-simclr"),
        (["run", "generation/x"], "The recipe 'generation/x' belongs to contrast-generation, which is planned"),
        (["run", "bad/first"], "The recipe 'bad/first' belongs to contrast-bad, which is broken: It fell."),
        (["run", "nowhere.toml"], "The recipe nowhere.toml can't be read: No such file or directory."),
        (["run", "recipes/misspelt.toml"], "misspelt.toml, line 9: encoder (core/mlp) has no key 'viws'. Did you mean"),
        (["run", "recipes/outside.toml"], "outside.toml, line 6: the path '../outside.csv' leaves the recipe's folder"),
        (["run", "recipes/missing.toml"], "missing.toml, line 4: data (core/table): "),
        (["run", "recipes/nothing.toml"], "nothing.toml: a recipe needs a section [data]"),
        (["run", "recipes/damaged.toml"], "damaged.toml is no valid TOML: "),
        (["run", "recipes/latin.toml"], "latin.toml can't be read: it is no text in UTF-8."),
        ([*SIMCLR, "--set", "training.epochs=many"], "'epochs' of [training] must be an integer, not 'many'."),
        ([*SIMCLR, "--set", "training.epochs"], "--set training.epochs: write section.key=value"),
        ([*SIMCLR, "--set", "objective.contrast.use=bad/loss"], "'bad/loss' belongs to contrast-bad, which is broken:"),
        ([*SIMCLR, "--set", "data.use=mine/extra"], "mine/extra needs no_such_extra, which can't be imported: pip ins"),
        ([*SIMCLR, "--set", "sampler.views.views=['one', 'x']"], "sampler.views (core/two-views) needs 'x', but encod"),
        ([*SIMCLR, "--out", "full"], "full is not empty: choose another --out."),
        ([*SIMCLR, "--out", "run"], "run holds a run already: choose another --out, or go on with it: --resume run."),
        ([*SIMCLR, "--out", "outside.csv"], "outside.csv is a file: choose another --out."),
        ([*SIMCLR, "--out", "outside.csv/x"], "The run folder outside.csv/x can't be created: "),
        (["evaluate", "full"], "full is no run folder: it has no run.json."),
        (["evaluate", "run"], "run holds no trained model (status: interrupted)"),
        (["evaluate", "outside.csv"], "outside.csv is no run folder: it is a file."),
        (["report", "nowhere"], "nowhere is no run folder: there is no such folder."),
        (["embed", "run", "-o", "x.txt"], "x.txt: the file's ending must be one of .safetensors, .npz, .csv."),
        (["embed", "run", "-o", "x.csv"], "run holds no trained model (status: interrupted)"),
        (["embed", "full", "-o", "x.csv"], "full is no run folder: it has no run.json."),
        (["embed", "run", "-o", "no/where/x.csv"], "no/where/x.csv can't be written: there is no folder no/where."),
    ],
)  # fmt: skip
def test_bad_input_ends_with_one_sentence(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """On standard error, with exit code 2; no run folder appears and no file changes."""
    (here / "no_extra.py").write_text("import no_such_extra\n")
    monkeypatch.syspath_prepend(here)
    mine = Plugin("mine", "mine", "1", Manifest(1, [Component("data", "mine/extra", "no_extra:X", "")]), "", (), 0.0)
    bad = Plugin("bad", "contrast-bad", "1", None, "It fell.", (), 0.0)
    monkeypatch.setattr(runs, "discover", lambda: Registry([*discover().plugins, mine, bad]))
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*") if "__pycache__" not in path.parts}
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured = capsys.readouterr()
    assert captured.err.startswith("contrast: ")
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert (end.value.code, captured.out) == (2, "")
    assert {p: p.stat().st_mtime_ns for p in here.rglob("*") if "__pycache__" not in p.parts} == before


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (PermissionError(13, "Permission denied", "a/b"), 2, "contrast: a/b: Permission denied.\n"),
        (OSError(28, "No space left on device"), 2, "contrast: No space left on device.\n"),
        (KeyboardInterrupt(), 130, "contrast: interrupted.\n"),
        (KeyboardInterrupt("Interrupted; go on with: X"), 130, "contrast: Interrupted; go on with: X\n"),
    ],
)
def test_what_the_system_refuses_and_the_user_stops(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    sentence: str,
) -> None:
    """No traceback either; an error that is our own mistake keeps its traceback."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(runs, "run", fail)
    with pytest.raises(SystemExit) as end:
        main(SIMCLR)
    assert (end.value.code, capsys.readouterr().err) == (code, sentence)
    monkeypatch.setattr(runs, "run", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(SIMCLR)
