"""contrast check: the conformance kit in the shell. torch is imported here, not before."""

from __future__ import annotations

import json
import tomllib
from argparse import Namespace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from contrast_core.errors import ContrastError


def check(given: Namespace) -> int:
    """contrast check DISTRIBUTION_OR_PATH; exit code 1 if a check failed."""
    from contrast_core.testing import session_of
    from contrast_core.testing.outcome import Report

    made = session_of(_distribution(given.what), only=given.only, components=given.component)
    tasks = [task for task in made.tasks() if made.wanted(task)]
    if not any(not given.only or task.check in given.only for task in tasks):
        known = ", ".join(made.known())
        raise ContrastError(f"No check has this name or is of this component; {made.plugin.label} has {known}.")
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    results = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("", total=len(tasks))
        for task in tasks:
            bar.update(shown, description=f"{task.subject} {task.check}")
            results.append(made.result(task))
            bar.advance(shown)
    report = Report(made.plugin.distribution, made.plugin.version, results)
    print(json.dumps(report.as_dict(), indent=2) if given.json else "\n".join(report.lines()))
    return 0 if report.ok else 1


def _distribution(what: str) -> str:
    """The distribution of that name, or of the project in a folder."""
    path = Path(what)
    if not (path.is_dir() and (path / "pyproject.toml").is_file()):
        if path.is_dir() and ("/" in what or what in (".", "..")):
            raise ContrastError(f"{path} is no project: it has no pyproject.toml.")
        return what
    try:
        name = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ContrastError(f"{path / 'pyproject.toml'} names no project: {error}.") from error
    return str(name)
