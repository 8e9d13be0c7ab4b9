"""contrast new: what it prints, which names are taken, and that it needs no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contrast_core import scaffold
from contrast_core.cli import main, make, parser
from contrast_core.registry import Plugin, Registry


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One plugin is installed, and it is broken: its name is taken all the same."""
    broken = Plugin("birds", "contrast_Bird-song", "3.1", None, "Its manifest raised KeyError: 'x'", (), 0.0)
    monkeypatch.setattr(make, "discover", lambda: Registry([broken]))


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and error output of a command."""
    with pytest.raises(SystemExit) as end:
        main(["new", *arguments])
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def test_new_writes_the_package_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The folder, and the commands that work at once."""
    given = ("--in", str(tmp_path), "--author", "Ada", "--licence", "BSD-3-Clause", "--description", "Ours.")
    code, out, err = call(capsys, "contrast-my-lab", *given)
    assert (code, err) == (0, "")
    place = tmp_path / "contrast-my-lab"
    assert out.startswith(f"contrast-my-lab is in {place}.")
    assert f"\n    cd {place}\n    pip install -e '.[test]'\n    pytest\n    contrast run my-lab/tabular\n" in out
    assert "Ada" in (place / "LICENSE").read_text(encoding="utf-8")
    assert "Ours." in (place / "README.md").read_text(encoding="utf-8")


def test_new_writes_here_by_default(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --in, in the current folder, under the MIT licence."""
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "contrast-mine")[0] == 0
    assert (tmp_path / "contrast-mine" / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("contrast-core", "contrast-core is a plugin of contrast's own"),
        ("contrast-speech", "contrast-speech is a plugin of contrast's own (continual spoken language"),
        ("contrast-birds", "The installed contrast_Bird-song 3.1 is the plugin 'birds' already"),
        ("contrast-bird-song", "The installed contrast_Bird-song 3.1 is the plugin 'birds' already"),
        ("my-lab", "A plugin is called contrast-<name>"),
    ],
)
def test_a_name_that_is_taken_or_wrong_is_refused(
    name: str, sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 2, one sentence, nothing written."""
    code, out, err = call(capsys, name, "--in", str(tmp_path))
    assert (code, out) == (2, "")
    assert err.startswith(f"contrast: {sentence}")
    assert not list(tmp_path.iterdir())


def test_the_command_offers_the_licences_of_the_template() -> None:
    """Each is taken, another is not."""
    for licence in scaffold.licences():
        assert parser().parse_args(["new", "contrast-x", "--licence", licence]).licence == licence
    with pytest.raises(SystemExit):
        parser().parse_args(["new", "contrast-x", "--licence", "GPL"])


def test_new_imports_no_torch(tmp_path: Path) -> None:
    """In a fresh interpreter, from the command to the written package."""
    code = (
        "import sys\nfrom contrast_core.cli import main\n"
        "try:\n    main(['new', 'contrast-scaffold-trial', '--in', sys.argv[1]])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print([n for n in ('torch', 'numpy', 'sklearn', 'contrast_core.runs') if n in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("[]\n"), done.stdout + done.stderr
    assert (tmp_path / "contrast-scaffold-trial" / "pyproject.toml").is_file()
