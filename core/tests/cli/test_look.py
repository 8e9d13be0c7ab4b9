"""list, show, plugins, doctor: what they print and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contrast_core import registry
from contrast_core.cli import look, main
from contrast_core.manifest import contrast_manifest
from contrast_core.registry import Plugin, Registry
from contrast_core.spec import Component, Manifest, RecipeFile

CORE = Plugin("core", "contrast-core", "1", contrast_manifest(), "", (), 0.0)
BROKEN = Plugin(
    "bad", "contrast-bad", "2", None, "Its manifest raised KeyError: 'x'", (), 0.0, cure="Tell its authors."
)
BARRED = Plugin("barred", "contrast-barred", "2", None, registry._NOT_ALLOWED, (), 0.0)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Plugin]:
    """The plugins that are found; the core alone at first."""
    plugins = [CORE]
    monkeypatch.setattr(look, "discover", lambda again=False: Registry(plugins))
    return plugins


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and error output of a command."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def test_list_shows_every_kind_or_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, under its kind."""
    code, out, err = call(capsys, "list")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if not line.startswith(" ")][:3] == ["recipe", "data", "tasks"]
    assert all(component.name in out for component in contrast_manifest().components)
    assert call(capsys, "list", "recipe")[1].startswith("recipe\n  core/digits-continual")
    assert "core/infonce" not in call(capsys, "list", "data")[1]
    code, out, err = call(capsys, "list", "loss")
    assert (code, out) == (2, "")
    assert err.startswith("contrast: 'loss' is no kind of component; the kinds are data, tasks, rehearsal, view, ")


def test_show_a_component_and_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments with defaults, what it needs and gives, its documentation; a recipe's file."""
    code, out, _ = call(capsys, "show", "InfoNCE".lower())
    assert code == 0
    assert out.startswith("core/infonce  (objective, contrast-core 1)\n")
    assert "\n  temperature            float = 0.1\n" in out
    assert "\nNeeds: pairs\n" in out
    assert "(required)" in call(capsys, "show", "core/queue")[1]
    assert "No arguments." in call(capsys, "show", "step:ordinary")[1]
    assert '[data]\nuse = "core/digits"' in call(capsys, "show", "recipe:core/digits-moco")[1]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("core/infonc", "There is no component or recipe 'core/infonc'. Did you mean core/infonce"),
        ("loss:infonce", "'loss' is no kind of component"),
        (
            "graph/meow",
            "The component or recipe 'graph/meow' is in contrast-graph, which is not installed: pip install ",
        ),
        ("Hydra", "belongs to contrast-vision, which is planned but not published yet."),
        ("bad/x", "'bad/x' belongs to contrast-bad, which is broken: Its manifest raised KeyError: 'x'"),
        ("mine/lost", "The module no_such_module of mine/lost can't be found"),
        ("mine/recipe", "The package no_such_package of the recipe mine/recipe can't be found."),
    ],
)
def test_show_what_can_not_be_shown(
    capsys: pytest.CaptureFixture[str], installed: list[Plugin], name: str, sentence: str
) -> None:
    """One sentence and exit code 2."""
    lost = Component("data", "mine/lost", "no_such_module:X", "")
    recipe = RecipeFile("mine/recipe", "no_such_package", "x.toml", "")
    installed += [BROKEN, Plugin("mine", "mine", "1", Manifest(1, [lost], [recipe]), "", (), 0.0)]
    code, out, err = call(capsys, "show", name)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("contrast: ")
    assert sentence in err


def test_a_broken_plugin_is_mentioned_beside_the_list_and_one_that_is_not_allowed_is_not(
    capsys: pytest.CaptureFixture[str], installed: list[Plugin]
) -> None:
    """On standard error, so that the list stays a list."""
    installed += [BROKEN, BARRED]
    code, out, err = call(capsys, "list")
    assert code == 0
    assert "bad" not in out
    assert err == "contrast: the plugin bad is left out: Its manifest raised KeyError: 'x'\n"


def test_plugins_for_people_and_machines(capsys: pytest.CaptureFixture[str], installed: list[Plugin]) -> None:
    """With the reason of what does not work; --json is JSON and nothing else."""
    slow = Plugin("slow", "slow", "1", Manifest(1), "", ("Its manifest takes 9.0 s to load.",), 9.0)
    installed += [BROKEN, BARRED, slow]
    out = call(capsys, "plugins")[1]
    assert "contrast-bad 2: broken: Its manifest raised KeyError: 'x'\n" in out
    assert "contrast-barred 2: left out: CONTRAST_PLUGINS does not allow it.\n" in out
    assert "Its manifest takes 9.0 s to load.\n" in out
    code, out, err = call(capsys, "plugins", "--json")
    entries = {entry["name"]: entry for entry in json.loads(out)}
    assert (code, err) == (0, "")
    assert (entries["bad"]["problem"], entries["bad"]["cure"]) == (BROKEN.problem, BROKEN.cure)
    assert {name: entry["usable"] for name, entry in entries.items()} == {
        "core": True, "bad": False, "barred": False, "slow": True
    }  # fmt: skip
    assert {"kind": "objective", "name": "core/infonce"} in entries["core"]["components"]
    assert "core/digits-moco" in entries["core"]["recipes"]
    assert entries["slow"]["warnings"]


def test_doctor_ends_with_1_if_something_is_wrong(capsys: pytest.CaptureFixture[str], installed: list[Plugin]) -> None:
    """A plugin that is left out on purpose or not installed is not wrong; a warning is."""
    installed += [BARRED]
    code, out, _ = call(capsys, "doctor")
    assert code == 0
    assert "\nabsent  graph: pip install contrast-graph\n" in out
    assert out.endswith("\nNothing is wrong.\n")
    lost = Manifest(1, [Component("data", "mine/lost", "no_such_module:X", "")])
    installed += [BROKEN, Plugin("mine", "mine", "1", lost, "", ("Its manifest takes 9.0 s to load.",), 9.0)]
    code, out, _ = call(capsys, "doctor")
    assert code == 1
    assert "PROBLEM bad (contrast-bad 2): Its manifest raised KeyError: 'x'\n        Tell its authors.\n" in out
    for line in (
        "WARNING mine: Its manifest takes 9.0 s to load.",
        "PROBLEM mine/lost: The module no_such_module of mine/lost can't be found: is its distribution complete?",
        "3 problems.",
    ):
        assert line in out.splitlines()


def test_doctor_tries_again_and_reads_constructors(
    capsys: pytest.CaptureFixture[str], installed: list[Plugin], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A manifest that hung before is waited for; a component is told with all that its constructor lies about."""
    (tmp_path / "look_parts.py").write_text("class X:\n    def __init__(self, size, far: float = None): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    wanted: list[bool] = []
    monkeypatch.setattr(look, "discover", lambda again=False: wanted.append(again) or Registry(installed))
    installed += [
        Plugin("mine", "mine", "1", Manifest(1, [Component("data", "mine/x", "look_parts:X", "")]), "", (), 0)
    ]
    code, out, _ = call(capsys, "doctor")
    assert (code, wanted) == (1, [True])
    assert (
        "PROBLEM mine/x: Its argument 'size' has no type: write size: int, or whatever it is. "
        "The default None of its argument 'far' is no float: write far: float | None = None.\n"
    ) in out
    call(capsys, "list")
    assert wanted == [True, False]


def test_a_name_of_the_catalogue_is_no_command() -> None:
    """Errors of the grammar are argparse's, with the same exit code."""
    for arguments in (["lst"], [], ["show"], ["embed", "x"], ["list", "a", "b"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2


def test_a_reader_that_has_seen_enough_and_a_terminal_without_greek(tmp_path: Path) -> None:
    """`contrast list | head -1` ends quietly, and ASCII output is no reason to fail."""
    contrast = [sys.executable, "-m", "contrast_core"]
    with subprocess.Popen([*contrast, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait() == 0
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*contrast, "show", "core/digits-simclr"], env=ascii_only, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
