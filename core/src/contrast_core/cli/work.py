"""Commands that train and embed: run, sweep, evaluate, report, embed. torch is imported here, not before."""

from __future__ import annotations

import os
import sys
import webbrowser
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from contrast_core.errors import ContrastError
from contrast_core.tables import value_of

if TYPE_CHECKING:
    from contrast_core.interfaces import Score
    from contrast_core.training.fit import Progress as Told

FORMATS = (".safetensors", ".npz", ".csv")


def run(given: Namespace) -> int:
    """contrast run RECIPE, or contrast run --resume RUN."""
    if given.recipe is None and given.resume is None:
        raise ContrastError("Say what to run: a recipe (contrast run graph/meow), or --resume and a run folder.")
    if given.recipe is not None and given.resume is not None:
        raise ContrastError("Give either a recipe to start or --resume and a run folder to go on with, not both.")
    if given.resume is not None and (given.settings or given.out):
        raise ContrastError("--resume goes on with the run as it was; --set and --out are for new runs.")
    from contrast_core import runs

    with _progress() as told:
        if given.resume is not None:
            done = runs.resume(given.resume, progress=told)
        else:
            done = runs.run(given.recipe, set=given.settings, out=given.out, progress=told)
    runs.leave()
    if runs.leads():
        _print_scores(done.scores)
        _tell_page("Report", done.folder / "report.html", given.open)
    return 0


def sweep(given: Namespace) -> int:
    """contrast sweep RECIPE --set-each KEY=V1,V2,..."""
    key, equals, text = (part.strip() for part in given.each.partition("="))
    if not equals or not all(key.split(".")):
        raise ContrastError(
            f"--set-each {given.each}: write section.key=value,value,..., for example "
            "--set-each objective.contrast.temperature=0.07,0.2,0.5."
        )
    from contrast_core.sweeps import sweep as run_each

    with _progress() as told:
        done = run_each(given.recipe, key, _values(text), set=given.settings, out=given.out, progress=told)
    if done.kept:
        print(f"{done.kept} of {len(done.rows)} runs were finished before and are kept.")
    _print_rows(key.rpartition(".")[2], done.rows)
    _tell_page("Sweep", done.page, given.open)
    return 0


def _values(text: str) -> list[Any]:
    """The values between the commas; commas inside of TOML lists and texts in quotation marks divide nothing."""
    listed = value_of(f"[{text}]")
    return listed if isinstance(listed, list) else [value_of(each.strip()) for each in text.split(",") if each.strip()]


def evaluate(given: Namespace) -> int:
    """contrast evaluate RUN."""
    from contrast_core import runs

    _print_scores(runs.evaluate(given.run, set=given.settings).scores)
    return 0


def report(given: Namespace) -> int:
    """contrast report RUN."""
    from contrast_core import runs

    _tell_page("Report", runs.write_report(given.run), given.open)
    return 0


def embed(given: Namespace) -> int:
    """contrast embed RUN -o FILE."""
    output: Path = given.output
    if output.suffix not in FORMATS:
        raise ContrastError(f"{output}: the file's ending must be one of {', '.join(FORMATS)}.")
    if output.is_dir() or not output.parent.is_dir():
        what = "it is a folder" if output.is_dir() else f"there is no folder {output.parent}"
        raise ContrastError(f"{output} can't be written: {what}.")
    import numpy
    from safetensors.torch import save_file

    from contrast_core import runs
    from contrast_core.files import replacing

    table = runs.embed(given.run, set=given.settings)
    arrays = {**table.fields, **table.columns}
    numbers: dict[str, Any] = {name: tensor.numpy() for name, tensor in arrays.items()}
    with replacing(output) as temporary:
        if output.suffix == ".safetensors":
            save_file(arrays, temporary)
        elif output.suffix == ".npz":
            with temporary.open("wb") as file:
                numpy.savez(file, **numbers)
        else:
            names = [name for name in ("sample", "label") if name in arrays]
            header = ",".join([*names, *(f"z{i}" for i in range(table.z.shape[1]))])
            columns = [arrays[name][:, None].double() for name in names]
            rows = numpy.concatenate([column.numpy() for column in [*columns, table.z.double()]], axis=1)
            formats = ["%d"] * len(names) + ["%.9g"] * table.z.shape[1]
            numpy.savetxt(temporary, rows, fmt=formats, delimiter=",", header=header, comments="")
    print(f"{len(table)} rows of {table.z.shape[1]} numbers in {output}")
    return 0


@contextmanager
def _progress() -> Iterator[Told]:
    """A progress bar on standard error that appears with the first step."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True))
    task = None

    def told(done: int, steps: int, text: str) -> None:
        nonlocal task
        if task is None:
            # Only now: a bar that is started writes an empty line, which an error message does not want before it.
            bar.start()
            task = bar.add_task(text, total=steps)
        bar.update(task, completed=done, total=steps, description=text)

    try:
        yield told
    finally:
        if task is not None:
            bar.stop()


def _print_scores(scores: Mapping[str, Sequence[Score]]) -> None:
    for name, found in scores.items():
        splits = list(dict.fromkeys(score.split for score in found))
        table = Table(title=name, title_justify="left")
        table.add_column("")
        for split in splits:
            table.add_column(split, justify="right")
        for metric in dict.fromkeys(score.metric for score in found):
            cells = {s.split: _cell(s) for s in found if s.metric == metric}
            table.add_row(metric, *(cells.get(split, "") for split in splits))
        Console().print(table)


def _print_rows(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table()
    table.add_column(name)
    found = list(dict.fromkeys(key for row in rows for key, value in row.items() if isinstance(value, float)))
    for key in found:
        table.add_column(key.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(row["value"], *(f"{row[key]:.4g}" if key in row else "" for key in found))
    Console().print(table)


def _cell(score: Score) -> str:
    return f"{score.mean:.4f}" + (f" ± {score.deviation:.4f}" if score.deviation is not None else "")


def _tell_page(name: str, path: Path, show: bool) -> None:
    print(f"{name}: {path.resolve().as_uri()}")
    # Without a screen a text browser would take the terminal; the line above says where the report is.
    if show and (sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(path.resolve().as_uri())
