"""The package that contrast new writes: whole, correct under any name, and refused where it can't be."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from contrast_core import runs, scaffold
from contrast_core.errors import ContrastError
from contrast_core.registry import GROUP, discover

NAMES = ["contrast-mine", "contrast-my-lab2", "contrast-2d", "contrast-institute-for-applied-spectroscopy"]
FILES = {
    ".github/workflows/test.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml",
    "src/PACKAGE/__init__.py", "src/PACKAGE/data.py", "src/PACKAGE/encoder.py", "src/PACKAGE/manifest.py",
    "src/PACKAGE/objective.py", "src/PACKAGE/py.typed", "src/PACKAGE/recipes/tabular.toml", "src/PACKAGE/sampler.py",
    "src/PACKAGE/view.py", "src/PACKAGE/wine.csv",
    "tests/test_conformance.py", "tests/test_data.py", "tests/test_encoder.py", "tests/test_objective.py",
    "tests/test_recipe.py", "tests/test_sampler.py", "tests/test_view.py",
}  # fmt: skip
MARKS = {
    "MIT": "MIT License",
    "Apache-2.0": "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
    "BSD-3-Clause": "Neither the name of the copyright holder",
}


def texts(folder: Path) -> dict[str, str]:
    """Every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EntryPoint]:
    """A package contrast-scaffold-trial on sys.path, and its entry point; its modules are forgotten afterwards."""
    place = scaffold.write("contrast-scaffold-trial", tmp_path)
    monkeypatch.syspath_prepend(place / "src")
    monkeypatch.delenv("CONTRAST_PLUGINS", raising=False)
    yield EntryPoint("scaffold-trial", "contrast_scaffold_trial.manifest", GROUP)
    for name in [name for name in sys.modules if name.partition(".")[0] == "contrast_scaffold_trial"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_there_under_a_name_that_python_takes(name: str, tmp_path: Path) -> None:
    """Nothing of the template's language is left, every module parses, and pyproject names what is there."""
    place = scaffold.write(name, tmp_path)
    assert place == tmp_path / name
    package = name.replace("-", "_")
    found = texts(place)
    assert set(found) == {file.replace("PACKAGE", package) for file in FILES}
    for file, text in found.items():
        assert "cookiecutter" not in text, file
        assert "{%" not in text, file
        if file.endswith(".py"):
            ast.parse(text)
    project = tomllib.loads(found["pyproject.toml"])
    assert project["project"]["name"] == name
    assert project["project"]["entry-points"]["contrast"] == {name.removeprefix("contrast-"): f"{package}.manifest"}
    assert f'@pytest.mark.contrast("{name}")' in found["tests/test_conformance.py"]
    assert "${{ matrix.python }}" in found[".github/workflows/test.yml"]
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_clean_by_its_own_settings(name: str, tmp_path: Path) -> None:
    """Ruff finds nothing and would format nothing, however long the name."""
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    place = scaffold.write(name, tmp_path)
    for job in (["check"], ["format", "--diff"]):
        command = [sys.executable, "-m", "ruff", *job, "--no-cache", "."]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_types_are_strict(tmp_path: Path) -> None:
    """Mypy finds nothing, with torch and the core typed."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    place = scaffold.write("contrast-mine", tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("licence", scaffold.licences())
def test_each_licence_is_written_in_full_with_year_and_author(licence: str, tmp_path: Path) -> None:
    """Or, with none, no file, and metadata and README that say so."""
    place = scaffold.write("contrast-mine", tmp_path, author="Ada Müller", licence=licence, description="Ours.")
    found = texts(place)
    project = tomllib.loads(found["pyproject.toml"])["project"]
    assert project["authors"] == [{"name": "Ada Müller"}]
    assert project["description"] == "Ours."
    if licence == "none":
        assert "LICENSE" not in found
        assert project["license"] == "LicenseRef-All-Rights-Reserved"
        assert "license-files" not in project
        assert "All rights reserved." in found["README.md"]
        return
    assert project["license"] == licence
    assert project["license-files"] == ["LICENSE"]
    assert f"Licence: {licence}." in found["README.md"]
    lines = [line for line in found["LICENSE"].splitlines() if "Ada Müller" in line]
    assert len(lines) == 1
    assert str(datetime.now(UTC).year) in lines[0]
    assert not found["LICENSE"].startswith("\n")
    assert found["LICENSE"].endswith("\n")
    assert not found["LICENSE"].endswith("\n\n")
    assert all((mark in found["LICENSE"]) == (known == licence) for known, mark in MARKS.items())


@pytest.mark.parametrize(
    "name",
    [
        "mine",
        "contrast",
        "contrast-",
        "contrast-Mine",
        "contrast_mine",
        "contrast-my_lab",
        "contrast--x",
        "contrast-x/y",
    ],
)
def test_other_names_are_refused(name: str, tmp_path: Path) -> None:
    """The sentence shows a right one, and nothing is written."""
    with pytest.raises(ContrastError, match="such as contrast-mine; not"):
        scaffold.write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_else_is_refused_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """A full folder, a file, no folder, an unknown licence, an author that would break the metadata."""
    full = tmp_path / "contrast-full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    (tmp_path / "contrast-file").write_text("a file")
    for name in ("contrast-full", "contrast-file"):
        with pytest.raises(ContrastError, match="exists already and is not empty"):
            scaffold.write(name, tmp_path)
    with pytest.raises(ContrastError, match="There is no folder"):
        scaffold.write("contrast-mine", tmp_path / "nowhere")
    with pytest.raises(ContrastError, match=r"The licence is one of MIT, .*, none, not 'GPL'"):
        scaffold.write("contrast-mine", tmp_path, licence="GPL")
    for text in ('"', "\\", "two\nlines"):
        with pytest.raises(ContrastError, match="The author must be one line"):
            scaffold.write("contrast-mine", tmp_path, author=text)
        with pytest.raises(ContrastError, match="The description must be one line"):
            scaffold.write("contrast-mine", tmp_path, description=text)
    assert texts(tmp_path) == {"contrast-full/mine.txt": "mine", "contrast-file": "a file"}


def test_an_empty_folder_is_filled_and_a_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the last step fails, neither the package nor a part of it stays."""
    (tmp_path / "contrast-mine").mkdir()
    assert (scaffold.write("contrast-mine", tmp_path) / "pyproject.toml").is_file()

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="No space left"):
        scaffold.write("contrast-other", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["contrast-mine"]


def test_the_plugin_is_found_and_its_recipe_trains(
    on_path: EntryPoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through discovery, composition and two steps of training, with both evaluations."""
    core = EntryPoint("core", "contrast_core.manifest", GROUP)
    registry = discover([core, on_path], strict=True)
    mine = [component for (_, name), component in registry.components.items() if name.startswith("scaffold-trial/")]
    assert sorted(c.kind for c in mine) == ["data", "encoder", "objective", "sampler", "view"]
    assert all(c.load().__name__ == c.target.partition(":")[2] for c in mine)
    # The report's map takes longer than all the rest and has its own tests.
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)
    settings = {"training.steps": 2, "training.threads": 1, "training.tensorboard": "off"}
    done = runs.run("scaffold-trial/tabular", set=settings, out=tmp_path / "run", registry=registry)
    assert set(done.scores) == {"probe", "neighbours"}
    assert all(0 <= score.mean <= 1 for scores in done.scores.values() for score in scores)


@pytest.mark.usefixtures("on_path")
def test_the_lines_of_its_readme_work(tmp_path: Path) -> None:
    """They end with gradients of both views."""
    text = (tmp_path / "contrast-scaffold-trial" / "README.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    assert names["one"].grad.abs().sum() > 0
    assert names["two"].grad.abs().sum() > 0


def test_the_manifest_imports_nothing_heavy(on_path: EntryPoint) -> None:
    """Discovery says so itself: a warning a heavy module."""
    code = (
        f"import sys; sys.path[:0] = {sys.path[:1]!r}\n"
        "from importlib.metadata import EntryPoint\n"
        "from contrast_core.registry import discover\n"
        f"found = discover([EntryPoint({on_path.name!r}, {on_path.value!r}, {GROUP!r})], strict=True)\n"
        "assert 'torch' not in sys.modules and not found.plugins[0].warnings"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_its_own_tests_pass(on_path: EntryPoint, tmp_path: Path) -> None:
    """Those of its parts, in its folder, with its strict settings; that of the recipe needs it installed."""
    place = tmp_path / "contrast-scaffold-trial"
    parts = [f"tests/test_{part}.py" for part in ("view", "encoder", "sampler", "objective", "data")]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "pythonpath=src", *parts]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("licence", ["BSD-3-Clause", "none"])
def test_cookiecutter_renders_the_same(licence: str, tmp_path: Path) -> None:
    """File by file; a name that can't be is refused there too."""
    if importlib.util.find_spec("cookiecutter") is None:
        pytest.skip("cookiecutter is not installed")
    ours = scaffold.write("contrast-my-lab2", tmp_path, author="Ada", licence=licence)
    theirs = tmp_path / "theirs"

    def render(name: str) -> int:
        options = ["--no-input", "--output-dir", str(theirs)]
        command = [sys.executable, "-m", "cookiecutter", *options, str(scaffold.TEMPLATE)]
        given = [f"distribution={name}", "author=Ada", f"licence={licence}"]
        return subprocess.run([*command, *given], cwd=tmp_path, capture_output=True, check=False).returncode

    assert render("contrast-my-lab2") == 0
    assert texts(theirs / "contrast-my-lab2") == texts(ours)
    assert render("contrast-My_Lab") != 0
    assert [path.name for path in theirs.iterdir()] == ["contrast-my-lab2"]
