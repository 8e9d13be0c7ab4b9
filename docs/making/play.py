"""Play a page: run its commands and write its files, in order, in an empty folder.

python docs/making/play.py docs/tutorial.md           exit code 1 if a command does not end as the page says
python docs/making/play.py docs/tutorial.md --write   also put what each command says below it, in the page

A page is played by two kinds of fenced blocks; all others are left alone:

- `console`: lines that start with `$ ` are commands, what follows is what they say. A command must end with exit code
  0, or with the code that a comment at its end names (`# exit code 2`). `cd` lasts, other changes of the shell do not.
  A line `...` in what is said stands for lines left out: so many before it and after it as the page shows are kept.
- any block below a comment `<!-- file: NAME -->` is written to that file, relative to where the commands have got.

Commands see `contrast`, `pip`, `pytest`, `ruff` and `python` of a throw-away environment that has all packages of the
one this runs in, so that a page may install and change what it likes. No package is fetched: pip builds with the tools
that are there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)[^\n]*\n(?P<body>.*?)^```$", re.S | re.M)
MODULES = {
    "contrast": "contrast_core",
    "pip": "pip",
    "pytest": "pytest",
    "ruff": "ruff",
    "torchrun": "torch.distributed.run",
}
ELIDED, LONGEST, LIMIT = "...", 40, 600


class Said(NamedTuple):
    """How a command ended: exit code, and standard output and error as they came."""

    code: int
    text: str


class PlayError(Exception):
    """A command that did not end as the page says; the sentence holds what it said."""


class Stage:
    """An empty folder and a throw-away environment in which commands are run one after the other.

    Args:
        root: the folder that holds both.
    """

    def __init__(self, root: Path):
        self.root, self.folder, self.at = root, root / "work", root / "work"
        self.folder.mkdir()
        environment = root / "environment"
        venv.create(environment)
        python = environment / "bin" / "python"
        # A plain line in a .pth adds a folder, but not the editable installs that the folder's own .pth files name.
        ours = next((environment / "lib").glob("python*/site-packages"))
        (ours / "lent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        for name, module in MODULES.items():
            script = environment / "bin" / name
            script.write_text(f'#!/bin/sh\nexec "{python}" -m {module} "$@"\n')
            script.chmod(0o755)
        self.variables = {
            **os.environ,
            "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(environment),
            "CONTRAST_CACHE": str(root / "cache"),
            "PIP_NO_INDEX": "1",
            # pip's switch is the other way round: off means that it builds without isolation.
            "PIP_NO_BUILD_ISOLATION": "off",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "NO_COLOR": "1",
            "TERM": "dumb",
            "COLUMNS": "100",
        }
        for name in ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTHONPATH", "CONTRAST_PLUGINS", "CONTRAST_STRICT"):
            self.variables.pop(name, None)

    def run(self, command: str) -> Said:
        """Run one command where the one before ended."""
        place = self.root / "place"
        place.unlink(missing_ok=True)
        done = subprocess.run(
            ["bash", "-c", f"{command}\ncode=$?\npwd > {place}\nexit $code"],
            cwd=self.at,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if place.exists():
            self.at = Path(place.read_text().strip())
        return Said(done.returncode, done.stdout)

    def write(self, name: str, text: str) -> None:
        """Write a file of the page."""
        path = self.at / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def plain(self, text: str) -> str:
        """What was said without what is another at every run: folders and times."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        text = text.rpartition("\r")[2] if "\r" in text and "\n" not in text else re.sub(r"[^\n]*\r(?!\n)", "", text)
        for folder, name in ((self.folder, "~"), (self.root / "environment", "~/.venv"), (self.root, "/tmp")):
            text = text.replace(str(folder), name)
        text = text.replace(str(Path(sysconfig.get_path("purelib"))), "~/.venv/site-packages")
        text = re.sub(r"\b\d+(\.\d+)?\s?(s|ms|seconds)\b", r"0 \2", text)
        text = re.sub(r"\bsize=\d+ sha256=\w+", "size=0 sha256=0", text)
        return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def play(page: str, stage: Stage) -> str:
    """The page with what its commands said; raises `PlayError` at the first that does not end as it should."""
    parts, end = [], 0
    for block in BLOCK.finditer(page):
        if block["file"]:
            stage.write(block["file"], block["body"])
        elif block["language"] == "console":
            start, stop = block.span("body")
            parts += [page[end:start], "".join(_played(block["body"], stage))]
            end = stop
    return "".join([*parts, page[end:]])


def _played(body: str, stage: Stage) -> Iterator[str]:
    for command, shown in _commands(body):
        expected = int(found[1]) if (found := re.search(r"# exit code (\d+)$", command)) else 0
        said = stage.run(command)
        if said.code != expected:
            raise PlayError(f"exit code {said.code}, not {expected}: {command}\n{said.text}")
        kept = _elided(stage.plain(said.text).splitlines(), shown)
        yield "".join(f"{line}\n" for line in [f"$ {command}", *kept])


def _commands(body: str) -> list[tuple[str, list[str]]]:
    """Each command of a block, its lines joined, with the lines shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif found:
            found[-1][1].append(line)
    return found


def _elided(said: list[str], shown: list[str]) -> list[str]:
    if ELIDED in shown:
        first = shown.index(ELIDED)
        last = len(shown) - first - 1
    elif len(said) > LONGEST:
        first, last = 20, 10
    else:
        return said
    if len(said) <= first + last:
        return said
    return [*said[:first], ELIDED, *(said[-last:] if last else [])]


def main() -> None:
    """Play a page, and write it if asked to."""
    names = [name for name in sys.argv[1:] if name != "--write"]
    if len(names) != 1:
        sys.exit(__doc__)
    path = Path(names[0])
    page = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as root:
        try:
            played = play(page, Stage(Path(root).resolve()))
        except PlayError as failure:
            sys.exit(f"{path}: {failure}")
    if "--write" in sys.argv[1:] and played != page:
        path.write_text(played, encoding="utf-8")


if __name__ == "__main__":
    main()
