"""The pytest plugin: a test for each check, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

MARKED = """
import pytest
import torch

@pytest.mark.contrast("{}")
def test_conformance(contrast_check):
    contrast_check()
"""
EXPECTED = """
[[expected]]
component = "similarity:tiny/dot"
check = "blocks-agree"
reason = "Blocks are centred."
"""


def _pytest(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rA",
        "-c",
        "/dev/null",
        *options,
        "test_it.py",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_check_is_a_test_with_its_reason(tiny: Path, tmp_path: Path) -> None:
    """Failures show their sentence without a traceback; expected ones are xfailed with their reason."""
    (tiny / "checks.toml").write_text(EXPECTED)
    done = _pytest(tmp_path, MARKED.format("contrast-tiny"), "-k", "tiny/dot or tiny/none-has")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "PASSED test_it.py::test_conformance[similarity:tiny/dot-loads]" in done.stdout
    assert "data:tiny/none: has-an-example: No recipe of the plugin that can be used here has it." in done.stdout
    assert "Blocks are centred. (In blocks" in done.stdout
    assert "1 failed" in done.stdout
    assert "1 xfailed" in done.stdout
    assert "SKIPPED" in done.stdout
    assert "it takes no number." in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def test_conformance(contrast_check): ...", 'write @pytest.mark.contrast("contrast-mine") above a test'),
        (MARKED.format("contrast-nobody"), "No plugin 'contrast-nobody' is installed."),
    ],
)
def test_a_wrong_use_is_a_usage_error(tmp_path: Path, text: str, said: str) -> None:
    """It says what to write, or who is not there."""
    done = _pytest(tmp_path, text)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_pytest_does_not_import_torch_for_others(tmp_path: Path) -> None:
    """Who does not use the fixture does not wait for torch."""
    done = _pytest(tmp_path, "import sys\n\ndef test_it():\n    assert 'torch' not in sys.modules\n")
    assert done.returncode == 0, done.stdout + done.stderr


def test_tables_to_try_an_objective_on(contrast_tables: Any) -> None:
    """The same items in every table, float64 rows with a gradient, and the same rows for the same seed."""
    tables = contrast_tables("one", "two", "three", n=6, d=4, classes=2, seed=1)
    assert list(tables) == ["one", "two", "three"]
    for table in tables.values():
        assert table.z.shape == (6, 4)
        assert table.z.dtype == torch.float64
        assert table.z.requires_grad
        assert table["sample"].tolist() == list(range(6))
        assert table["label"].equal(tables["one"]["label"])
    assert contrast_tables(seed=1)["two"].z.equal(contrast_tables(seed=1)["two"].z)
    assert not tables["one"].z.equal(tables["two"].z)


def test_a_recipe_runs_in_a_temporary_folder(contrast_run: Any, tmp_path: Path) -> None:
    """A new one each time; its scores are there."""
    for number in (1, 2):
        done = contrast_run("core/digits-supcon", "training.steps=1", "training.tensorboard=off")
        assert done.folder == tmp_path / f"run-{number}"
        assert done.scores
