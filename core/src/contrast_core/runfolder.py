"""The run folder: the files of a run, and how they are found again. No torch here.

recipe.toml  the resolved recipe           metrics.jsonl, diagnostics.jsonl, tensorboard/  the course of training
run.json     what, when, with which versions, how it ended       checkpoint-*.pt           to go on exactly
model.safetensors, encoder.safetensors, encoder.json             the trained weights
evaluation.json, embedding.safetensors, names.json, report.html  the results; of data without labels also pairs.json
tasks.json    what was measured after each task, if there are tasks
figures.json  what evaluators show beside their scores, if they do
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from contrast_core.errors import ContrastError
from contrast_core.files import write_text
from contrast_core.recipe import Recipe, load_recipe

RECIPE, RUN, MODEL, FITTED = "recipe.toml", "run.json", "model.safetensors", "data.safetensors"
TASKS = "tasks.json"


def new_folder(recipe: Recipe, out: Path | None) -> Path:
    """The folder of a new run: `out`, or the first free `runs/NAME`, `runs/NAME-2` ...; it is not created yet.

    Raises:
        ContrastError: if `out` exists and is not empty, or can't be created.
    """
    if out is None:
        # Whatever a recipe calls itself, its run stays under runs/.
        name = re.sub(r"[^\w.-]+", "-", recipe.name).strip(".-") or "unnamed"
        base = out = Path("runs") / name
        number = 1
        while out.exists():
            number += 1
            out = base.with_name(f"{name}-{number}")
    elif out.is_dir() and (out / RUN).exists():
        raise ContrastError(f"{out} holds a run already: choose another --out, or go on with it: --resume {out}.")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "is not empty" if out.is_dir() else "is a file"
        raise ContrastError(f"{out} {what}: choose another --out.")
    above = next(parent for parent in (out, *out.parents, Path()) if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        what = "may not be written to" if above.is_dir() else "is a file"
        raise ContrastError(f"The run folder {out} can't be created: {above.absolute()} {what}.")
    return out


def begin(folder: Path, recipe: Recipe, about: Mapping[str, Any]) -> None:
    """Create the folder with the resolved recipe and run.json.

    Raises:
        ContrastError: if another run has taken the folder in the meantime.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / RUN).touch(exist_ok=False)
    except FileExistsError as error:
        raise ContrastError(f"Another run has just taken {folder}: start again, or choose another --out.") from error
    write_text(folder / RECIPE, tomli_w.dumps(recipe.resolved()))
    write_text(folder / RUN, json.dumps(about, indent=2) + "\n")


def update(folder: Path, **changes: Any) -> None:
    """Change entries of run.json."""
    write_text(folder / RUN, json.dumps({**about(folder), **changes}, indent=2) + "\n")


def about(folder: Path) -> dict[str, Any]:
    """run.json.

    Raises:
        ContrastError: if the folder holds no run.
    """
    try:
        found = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        what = f"it has no {RUN}" if folder.is_dir() else "there is no such folder"
        raise ContrastError(f"{folder} is no run folder: {what}.") from error
    except NotADirectoryError as error:
        raise ContrastError(f"{folder} is no run folder: it is a file.") from error
    except OSError as error:
        raise ContrastError(f"{folder / RUN} can't be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise ContrastError(f"{folder / RUN} is damaged: {error}.") from error
    if not isinstance(found, dict):
        raise ContrastError(f"{folder / RUN} is damaged: it holds no table.")
    return found


def recipe_of(folder: Path, settings: Sequence[str] = ()) -> Recipe:
    """The resolved recipe of a run, with further settings; its paths are one's own and trusted."""
    about(folder)
    return load_recipe(folder / RECIPE, settings, trusted=True)
