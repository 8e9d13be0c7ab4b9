"""What the kit says in all: counts, expected failures, checks.toml, JSON, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contrast_core.cli import main
from contrast_core.errors import ContrastError
from contrast_core.testing import check

DOT, POINTS = "similarity:tiny/dot", "data:tiny/none"
EXPECTED = '[[expected]]\ncomponent = "similarity:tiny/dot"\ncheck = "{}"\nreason = "Blocks are centred."\n'
Say = Callable[[str], None]


@pytest.fixture
def say(tiny: Path) -> Say:
    """say(text): what the plugin's checks.toml holds; nothing at first."""

    def write(text: str) -> None:
        (tiny / "checks.toml").write_text(text)

    write("")
    return write


def _command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["check", *arguments])
    return int(stopped.value.code or 0)


def test_results_are_counted_and_the_failures_shown(say: Say) -> None:
    """The last line counts what ran; a failure is shown with component, check and example."""
    report = check("contrast-tiny", components=[DOT])
    skipped, ran = report.count("skipped"), len(report.results) - report.count("skipped")
    assert not report.ok
    assert report.count("failed") == 1
    assert report.lines()[-1].startswith(f"{ran} checks ran: ")
    assert f"{report.count('passed')} passed" in report.lines()[-1]
    assert report.lines()[-1].endswith(f"; {skipped} skipped.")
    assert any(line.startswith(f"FAILED  {DOT}  blocks-agree (scene views): In blocks") for line in report.lines())


def test_an_expected_failure_is_no_failure(say: Say) -> None:
    """It is counted by itself and shown with its reason and what was found."""
    say(EXPECTED.format("blocks-agree"))
    report = check("contrast-tiny", components=[DOT])
    assert report.ok
    found = next(r for r in report.results if r.outcome == "expected failure")
    assert found.check == "blocks-agree"
    assert found.reason.startswith("Blocks are centred. (In blocks")


def test_what_passes_though_it_was_said_to_fail_is_a_failure(say: Say) -> None:
    """So that checks.toml does not outlive its reasons."""
    say(EXPECTED.format("loads"))
    report = check("contrast-tiny", components=[DOT], only=["loads"])
    assert [r.outcome for r in report.results] == ["unexpected pass"]
    assert not report.ok


def test_a_component_without_an_example_says_what_to_write(say: Say) -> None:
    """It is not passed over."""
    (found,) = check("contrast-tiny", components=[POINTS], only=["has-an-example"]).results
    assert found.outcome == "failed"
    assert "To look at it, add one, or an [[example]] to checks.toml" in found.reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[", "is no valid TOML"),
        ("[[other]]\na = 1", "not 'other'"),
        ('[[example]]\ncomponent = "similarity:tiny/dot"\nscen = "views"', "scen"),
        (
            '[[example]]\ncomponent = "similarity:tiny/dot"\nscene = "views"\nrecipe = "x/y"',
            "either a scene or a recipe",
        ),
        ('[[example]]\ncomponent = "similarity:tiny/dot"', "either a scene or a recipe"),
        ('[[expected]]\ncomponent = "similarity:tiny/dot"\ncheck = "loads"', "reason"),
        ('[[expected]]\ncomponent = "similarity:tiny/dot"\ncheck = "loads"\nreason = " "', "needs a reason"),
        ('[[example]]\ncomponent = "similarity:tiny/dott"\nscene = "views"', "speaks of 'similarity:tiny/dott'"),
    ],
)
def test_a_malformed_declaration_gets_one_sentence(say: Say, text: str, said: str) -> None:
    """The sentence names what is wrong with the file, and no check runs."""
    say(text)
    with pytest.raises(ContrastError, match=r"checks\.toml") as caught:
        check("contrast-tiny", only=["loads"])
    assert said in str(caught.value)


def test_an_example_in_an_unknown_scene_is_a_failed_example(say: Say) -> None:
    """The sentence names the scenes there are."""
    say(f'[[example]]\ncomponent = "{DOT}"\nscene = "nowhere"')
    (found,) = check("contrast-tiny", components=[DOT], only=["has-an-example"]).results
    assert "There is no scene 'nowhere'; the scenes are views" in found.reason


def test_the_command_writes_json_and_ends_with_1_if_a_check_failed(
    say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON holds counts, and subject, check, outcome and reason of every result."""
    assert _command("contrast-tiny", "--component", "tiny/dot", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["distribution"], told["version"], told["ok"]) == ("contrast-tiny", "1.0", False)
    assert sum(told["counts"].values()) == len(told["results"])
    failed = [each for each in told["results"] if each["outcome"] == "failed"]
    assert [(each["subject"], each["check"], each["example"]) for each in failed] == [
        (DOT, "blocks-agree", "scene views")
    ]


def test_the_command_takes_a_project_and_ends_with_0_if_all_is_well(
    say: Say, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`contrast check .` checks the distribution that the project's pyproject.toml names."""
    monkeypatch.chdir(tiny.parent)
    assert _command(".", "--only", "loads", "--component", DOT) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 checks ran: 1 passed; 0 skipped."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["contrast-tinny"], "No plugin 'contrast-tinny' is installed."),
        (["contrast-tiny", "--only", "lods"], "No check has this name or is of this component"),
        (
            ["contrast-tiny", "--component", "tiny/dott"],
            "No check has this name or is of this component",
        ),
        ([".."], "has no pyproject.toml"),
    ],
)
def test_the_command_ends_with_2_and_one_sentence_for_what_is_not_there(
    say: Say, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], said: str,
) -> None:  # fmt: skip
    """Nothing on standard output, one line on standard error."""
    monkeypatch.chdir(tmp_path)
    assert _command(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_broken_plugin_can_not_be_checked(installed: Callable[..., None], tmp_path: Path) -> None:
    """Its reason is the sentence."""
    package = tmp_path / "contrast_ill"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "manifest.py").write_text("raise RuntimeError('no day for it')")
    installed("ill", tmp_path)
    with pytest.raises(ContrastError, match=r"contrast-ill can't be checked: .*no day for it"):
        check("contrast-ill")
