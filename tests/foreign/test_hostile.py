"""Six plugins that misbehave, beside the core in a clean environment: what they cost, and whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

HOSTILE = [f"contrast-{name}" for name in ("raises", "hangs", "future", "twin", "heavy", "liar")]
REASONS = {
    "raises": "Its manifest raised RuntimeError: The licence server does not answer.",
    "hangs": "Its manifest did not load within 2 s.",
    "future": "It was written for api 99, this core has api 1: pip install --upgrade contrast-core",
    "twin": "It registers the objective 'core/infonce', which contrast-core has already.",
}
LIES = (
    "PROBLEM liar/views: Its '**more' is nothing that a recipe can give: name the arguments, with types. "
    "Its argument 'source' has no type: write source: int, or whatever it is. "
    "The default 'many' of its argument 'size' is no int: give it one of that type. "
    "The default None of its argument 'margin' is no float: write margin: float | None = None. "
    "Its documentation names an argument 'margn', which it does not have. Did you mean margin?"
)


ASKED = {
    "objective.contrast.use=raises/loss": "'raises/loss' belongs to contrast-raises, which is broken: Its manifest rai",
    "objective.contrast.use=hangs/loss": "'hangs/loss' belongs to contrast-hangs, which is broken: Its manifest did no",
    "objective.contrast.use=future/loss": "'future/loss' belongs to contrast-future, which is broken: It was written f",
    "objective.contrast.use=twin/loss": "'twin/loss' belongs to contrast-twin, which is broken: It registers the objec",
    "view.augment={use='liar/fragile'}": "view.augment (liar/fragile) can't be built: RuntimeError: no room for 3",
    "view.augment={use='liar/lost'}": "contrast_liar.parts has no 'Lost', which liar/lost names as its class.",
    "view.augment={use='liar/views'}": "view.augment (liar/views): ",
}


def test_uninstalling_them_leaves_no_trace(world: Any) -> None:
    """No file in site-packages, and nothing for doctor to say. (The first test: later ones share the six.)"""
    before = world.files()
    world.install(HOSTILE)
    assert len(world.files() - before) == 2 * len(HOSTILE)
    assert world.contrast("list", CONTRAST_PLUGINS="hangs").returncode == 0
    world.uninstall(HOSTILE)
    assert world.files() == before
    done = world.contrast("doctor")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("Nothing is wrong.\n")
    assert "hangs" not in done.stdout + done.stderr


@pytest.fixture(scope="module")
def crowd(world: Any) -> Iterator[Any]:
    """The world with all six."""
    world.install(HOSTILE)
    yield world
    world.uninstall(HOSTILE)


def test_list_shows_what_works(crowd: Any) -> None:
    """What the core and the heavy plugin have; the others are mentioned beside it."""
    done = crowd.contrast("list")
    assert done.returncode == 0, done.stderr
    for name in ("core/digits-supcon", "core/infonce", "heavy/copies", "liar/fragile"):
        assert f"  {name} " in done.stdout
    for word in ("raises/loss", "hangs/loss", "future/loss", "twin/loss", "Not the core's", "asking", "at last"):
        assert word not in done.stdout
    said = [line.partition(", the last time")[0].rstrip(".") for line in done.stderr.splitlines()]
    for name, reason in REASONS.items():
        assert f"contrast: the plugin {name} is left out: {reason}".rstrip(".") in said


def test_one_that_hangs_is_waited_for_once(crowd: Any) -> None:
    """By the first command; what it prints is no output of the command. Doctor waits again and may clear its name."""
    alone = {"CONTRAST_PLUGINS": "hangs", "CONTRAST_CACHE": str(crowd.folder / "once")}
    first, second, doctor, patient, last = (
        crowd.contrast(command, **alone, **more)
        for command, more in (
            ("list", {}), ("list", {}), ("doctor", {}), ("doctor", {"CONTRAST_PATIENCE": "60"}), ("list", {}),
        )
    )  # fmt: skip
    broken = "contrast: the plugin hangs is left out: "
    assert first.stderr == f"asking the network\n{broken}{REASONS['hangs']}\n"
    assert second.stderr == f"{broken}{REASONS['hangs'][:-1]}, the last time; contrast doctor tries again.\n"
    assert first.stdout == second.stdout
    assert f"PROBLEM hangs (contrast-hangs 1.0): {REASONS['hangs']}\n        Give it longer with " in doctor.stdout
    assert "WARNING hangs: Its manifest takes 5." in patient.stdout
    assert (doctor.returncode, patient.returncode) == (1, 1)
    assert broken in last.stderr
    assert "asking the network" in last.stderr


def test_doctor_names_each_with_its_reason(crowd: Any) -> None:
    """And what to do."""
    done = crowd.contrast("doctor")
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    for name, reason in REASONS.items():
        (place,) = [n for n, line in enumerate(lines) if line == f"PROBLEM {name} (contrast-{name} 1.0): {reason}"]
        cured = ": pip install" in reason or f"pip uninstall contrast-{name}." in lines[place + 1]
        assert cured, lines[place : place + 2]
    assert "ok      heavy (contrast-heavy 1.0): 1 components, 0 recipes" in lines
    assert any(line.startswith("WARNING heavy: Its manifest imports torch, which makes every ") for line in lines)
    assert LIES in lines
    assert "PROBLEM liar/lost: contrast_liar.parts defines no 'Lost', which liar/lost names as its class." in lines
    assert "liar/fragile" not in done.stdout
    assert not [line for line in lines if line.startswith("PROBLEM core")]


def test_plugins_as_json_says_which_are_usable(crowd: Any) -> None:
    """JSON and nothing else; strict mode refuses the first broken one."""
    done = crowd.contrast("plugins", "--json")
    entries = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert done.returncode == 0, done.stderr
    assert {name: entry["usable"] for name, entry in entries.items()} == {
        "core": True, "future": False, "hangs": False, "heavy": True, "liar": True, "raises": False, "twin": False,
    }  # fmt: skip
    assert entries["raises"]["problem"] == REASONS["raises"]
    strict = crowd.contrast("list", CONTRAST_STRICT="1", CONTRAST_PLUGINS="twin")
    assert (strict.returncode, strict.stdout) == (2, "")
    assert strict.stderr == f"contrast: The plugin contrast-twin is broken: {REASONS['twin']}\n"


def test_asking_for_something_of_a_broken_one_gives_its_reason(crowd: Any) -> None:
    """One sentence and exit code 2 each, before a run folder is made; all in one process, which goes on working."""
    code = f"""
import sys
from contrast_core.cli import main
for setting in {list(ASKED)}:
    try:
        main(["run", "core/digits-supcon", "--set", setting, "--out", "refused"])
    except SystemExit as end:
        print("exit", end.code, file=sys.stderr)
"""
    done = crowd.python(code)
    said = [line for line in done.stderr.splitlines() if line.startswith(("contrast: ", "exit"))]
    assert "Traceback" not in done.stderr
    assert said[1::2] == ["exit 2"] * len(ASKED)
    for sentence, reason in zip(said[::2], ASKED.values(), strict=True):
        assert reason in sentence
    assert not (crowd.folder / "refused").exists()


def test_a_run_works_while_all_are_installed(crowd: Any) -> None:
    """With the view of the heavy plugin among the core's parts."""
    short = ("--set", "training.epochs=2", "--set", "view.augment={use='heavy/copies'}", "--out", "run")
    done = crowd.contrast("run", "core/digits-supcon", *short)
    assert done.returncode == 0, done.stderr
    assert (crowd.folder / "run" / "report.html").is_file()
