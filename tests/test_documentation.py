"""The documentation is true: made pages are fresh, code blocks run, pages play, examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
READMES = [ROOT / "README.md", ROOT / "core" / "README.md", *sorted(ROOT.glob("plugins/*/README.md"))]
GROUPS = {
    "readmes": READMES,
    "concepts": sorted((DOCS / "concepts").glob("*.md")),
    "howto": [*sorted((DOCS / "howto").glob("*.md")), *sorted(DOCS.glob("howto-*.md"))],
    "authoring": sorted((DOCS / "authoring").glob("*.md")),
}
PAGES = [*READMES, *sorted(DOCS.rglob("*.md"))]
PLAYED = [DOCS / "tutorial.md"]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"<!-- file: \S+ -->\n```")
# Importing torch takes seconds, so the blocks of many pages share a process. Each is a module of its own, in an empty
# folder of its own.
DRIVER = """
import importlib, os, pathlib, sys
here = pathlib.Path.cwd()
sys.path.insert(0, str(here))
for block in sys.argv[1:]:
    (here / block).with_suffix(".folder").mkdir()
    os.chdir((here / block).with_suffix(".folder"))
    importlib.import_module(block)
"""


def run(*command: object, folder: Path) -> str:
    """Standard output of a command that must succeed, one thread, in an empty folder."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "CONTRAST_CACHE": str(folder / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocks(page: Path) -> list[str]:
    """The Python blocks of a page that stand by themselves; files of a page that is played do not."""
    text = page.read_text(encoding="utf-8")
    return [found[1] for found in BLOCK.finditer(text) if not FILE.search(text[: found.start() + 3][-200:])]


def test_made_pages_are_fresh(tmp_path: Path) -> None:
    """The README's table, the catalogue, the systems, the commands and the interfaces equal what the code says."""
    run(DOCS / "generate.py", "--check", folder=tmp_path)


# One process trains several small models; a busy machine may take more than the usual limit.
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("group", GROUPS)
def test_code_blocks_run(group: str, tmp_path: Path) -> None:
    """Every Python block of a page runs by itself."""
    names = []
    for page in GROUPS[group]:
        for number, block in enumerate(blocks(page), 1):
            names.append(re.sub(r"\W", "_", f"{page.relative_to(ROOT).with_suffix('')}_{number}"))
            (tmp_path / f"{names[-1]}.py").write_text(block, encoding="utf-8")
    if group == "authoring" and not names:
        pytest.skip("These pages have no Python blocks.")
    assert names
    run("-c", DRIVER, *names, folder=tmp_path)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", PLAYED, ids=lambda page: page.stem)
def test_pages_play(page: Path, tmp_path: Path) -> None:
    """The commands of a page, in order, in an empty folder, end as the page says."""
    run(DOCS / "making" / "play.py", page, folder=tmp_path)


def test_a_command_that_fails_stops_a_page(tmp_path: Path) -> None:
    """The player names the command and what it said; a code that the page names is no failure."""
    page = tmp_path / "page.md"
    page.write_text("```console\n$ false # exit code 1\n$ mkdir a && cd a\n$ pwd\n$ echo no; exit 3\n```\n")
    player = [sys.executable, str(DOCS / "making" / "play.py"), str(page), "--write"]
    done = subprocess.run(player, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "exit code 3, not 0: echo no; exit 3\nno" in done.stderr
    page.write_text(page.read_text().replace("; exit 3", "").replace("$ pwd\n", "$ pwd\n...\n"))
    subprocess.run(player, check=True)
    said = "```console\n$ false # exit code 1\n$ mkdir a && cd a\n$ pwd\n...\n$ echo no\nno\n```\n"
    assert page.read_text() == said


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_examples_run(example: Path, tmp_path: Path) -> None:
    """Every example runs as it stands and says something."""
    assert run(example, folder=tmp_path)


def test_recipes_in_the_docs_exist() -> None:
    """Whatever `contrast run` and `contrast show` name in the documentation is registered."""
    from contrast_core.registry import discover

    registry = discover()
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    named = {name for text in texts for name in re.findall(r"contrast (?:run|show) ([a-z]+/[a-z-]+)", text)}
    assert named
    for name in named:
        if not name.startswith("mine/"):
            assert registry.anything(name)
