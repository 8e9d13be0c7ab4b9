"""The documentation is true: made pages are fresh, code blocks run, examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "core" / "README.md", ROOT / "plugins" / "graph" / "README.md"]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(*command: object, folder: Path) -> str:
    """Standard output of a command that must succeed, one thread, in an empty folder."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CONTRAST_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_made_pages_are_fresh(tmp_path: Path) -> None:
    """The README's table, the catalogue and the commands equal what the code says."""
    run(ROOT / "docs" / "generate.py", "--check", folder=tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run(page: Path, tmp_path: Path) -> None:
    """Every Python block of a README runs by itself."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        script = tmp_path / f"block{number}.py"
        script.write_text(block, encoding="utf-8")
        run(script, folder=tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_examples_run(example: Path, tmp_path: Path) -> None:
    """Every example runs as it stands and says something."""
    assert run(example, folder=tmp_path)


def test_recipes_in_the_docs_exist() -> None:
    """Whatever `contrast run` and `contrast show` name in the documentation is registered."""
    from contrast_core.registry import discover

    registry = discover()
    texts = [path.read_text(encoding="utf-8") for path in [*PAGES, *(ROOT / "docs").glob("*.md")]]
    named = {name for text in texts for name in re.findall(r"contrast (?:run|show) ([a-z]+/[a-z-]+)", text)}
    assert named
    for name in named:
        assert registry.anything(name)
