"""One recipe, one setting varied: a run for each value, and one page that compares them. The Python API.

import contrast_core as contrast

done = contrast.sweep("core/digits-simclr", "objective.contrast.temperature", [0.07, 0.2, 0.5, 1.0])
print(done.page, [row["uniformity"] for row in done.rows])
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from contrast_core import runfolder, runs
from contrast_core.compose import compose
from contrast_core.distributed import started
from contrast_core.errors import ContrastError
from contrast_core.recipe import Recipe
from contrast_core.registry import Registry, discover
from contrast_core.report.sweep import Swept, write_sweep
from contrast_core.settings import as_settings
from contrast_core.tables import value_of
from contrast_core.training.checkpoint import own_randomness
from contrast_core.training.fit import Progress


@frozen(eq=False)
class Sweep:
    """A sweep: its folder, its page, how many runs were finished before, and a row of numbers for each value."""

    folder: Path
    page: Path
    kept: int
    rows: Sequence[Mapping[str, Any]]


@frozen(eq=False)
class _Planned:
    """The run of one value: how the value is written, all settings, the resolved recipe, the folder."""

    value: str
    settings: Sequence[str]
    recipe: Recipe
    folder: Path

    def status(self) -> str:
        """That of the run in the folder, empty if there is none; raises ContrastError if it is another run."""
        if not (self.folder / runfolder.RUN).exists():
            return ""
        if runfolder.recipe_of(self.folder).resolved() != self.recipe.resolved():
            raise ContrastError(f"{self.folder} holds a run with other settings than these: choose another --out.")
        return str(runfolder.about(self.folder).get("status", "unknown"))


def sweep(
    recipe: str | Path,
    key: str,
    values: Sequence[Any],
    *,
    set: Mapping[str, Any] | Sequence[str] = (),
    out: str | Path | None = None,
    progress: Progress = lambda *_: None,
    registry: Registry | None = None,
) -> Sweep:
    """Run a recipe once for each value of a key, each in a folder of its own, and write sweep.html and sweep.json.

    The same call again goes on where it was interrupted: finished runs are kept, a broken-off one is resumed. A run
    that fails does not stop the others; it is named on the page.

    Args:
        recipe: a registered name or the path of a TOML file.
        key: the setting that is varied, "objective.contrast.temperature".
        values: what it is set to, in the order of the page.
        set: further settings, alike in all runs.
        out: the folder of all runs; by default runs/NAME-by-KEY.
        progress: called with (steps done, steps in all, text), over all runs.
        registry: plugins to use; by default the installed ones.

    Raises:
        ContrastError: whatever is wrong, in one sentence, before the first run starts and anything is written; or,
            after the last, that runs failed.
        KeyboardInterrupt: on Ctrl-C; the same call goes on.
    """
    if started() > 1:
        raise ContrastError("A sweep runs in one process: start it without a launcher, or its runs one by one.")
    registry = registry or discover()
    planned = _plan(str(recipe), key, values, as_settings(set), None if out is None else Path(out), registry)
    finished = [each.status() == "finished" for each in planned]
    swept = []
    for number, each in enumerate(planned):

        def told(done: int, steps: int, text: str, number: int = number, value: str = each.value) -> None:
            name = f"{key.rpartition('.')[2]} {value} ({number + 1} of {len(planned)})"
            progress(number * steps + done, len(planned) * steps, f"{name}, {text}")

        try:
            if each.status() == "":
                runs.run(recipe, set=each.settings, out=each.folder, progress=told, registry=registry)
            elif not finished[number]:
                runs.resume(each.folder, progress=told, registry=registry)
            swept.append(Swept(each.value, each.folder))
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("Interrupted; the same command goes on, and keeps the finished runs.") from error
        except ContrastError as error:
            swept.append(Swept(each.value, each.folder, str(error)))
    failed = [each for each in swept if each.failure]
    if len(failed) == len(swept):
        raise ContrastError(f"No run finished; with {key}={failed[0].value}: {failed[0].failure}")
    folder = planned[0].folder.parent
    page, rows = write_sweep(folder, key, swept)
    if failed:
        raise ContrastError(
            f"{len(failed)} of {len(swept)} runs failed, the others are in {page}; with {key}={failed[0].value}: "
            f"{failed[0].failure}"
        )
    return Sweep(folder, page, sum(finished), rows)


def _plan(
    recipe: str, key: str, values: Sequence[Any], settings: Sequence[str], out: Path | None, registry: Registry
) -> list[_Planned]:
    """All runs, composed once: a misfit in the last must not cost hours."""
    if len(values) < 2:
        raise ContrastError(f"A sweep compares at least two values of {key}, for example {key}=0.1,0.2.")
    planned: list[_Planned] = []
    with own_randomness():
        for value in values:
            (setting,) = as_settings({key: value})
            # A text stands in quotation marks in the setting, which are not part of its name.
            written = setting.partition("=")[2]
            named = str(value_of(written)) if isinstance(value, str | Path) else written
            # Another component begins with options of its own, which the settings common to all runs may change.
            given = [setting, *settings] if key.endswith(".use") else [*settings, setting]
            resolved = runs.find_recipe(recipe, registry, given)
            for _, stage in resolved.stages():
                compose(stage, registry)
            above = out or Path("runs") / _plain(f"{resolved.name}-by-{key}")
            folder = above / _plain(f"{key.rpartition('.')[2]}-{named}")
            if twin := next((each for each in planned if each.folder == folder), None):
                raise ContrastError(
                    f"The values {twin.value} and {named} of {key} are one: their runs would share {folder}."
                )
            planned.append(_Planned(named, given, resolved, folder))
    if (planned[0].folder.parent / runfolder.RUN).exists():
        raise ContrastError(f"{planned[0].folder.parent} holds a run, not a sweep: choose another --out.")
    for each in planned:
        each.status()
    return planned


def _plain(name: str) -> str:
    """As the name of a folder, on every system."""
    return re.sub(r"[^\w.+-]+", "-", name).strip(".-") or "unnamed"
