"""The run folder: the files of a run, and how they are found again. No torch here.

recipe.toml  the resolved recipe           metrics.jsonl, diagnostics.jsonl, tensorboard/  the course of training
run.json     what, when, with which versions, how it ended       checkpoint-*.pt           to go on exactly
model.safetensors, encoder.safetensors, encoder.json             the trained weights
evaluation.json, embedding.safetensors, names.json, report.html  the results
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from contrast_core.errors import ContrastError
from contrast_core.files import write_text
from contrast_core.recipe import Recipe, load_recipe

RECIPE, RUN, MODEL = "recipe.toml", "run.json", "model.safetensors"


def new_folder(recipe: Recipe, out: Path | None) -> Path:
    """The folder of a new run: `out`, or the first free `runs/NAME`, `runs/NAME-2` ...; it is not created yet.

    Raises:
        ContrastError: if `out` exists and is not empty.
    """
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ContrastError(f"{out} exists already: choose another --out, or go on with --resume {out}.")
        return out
    base = Path("runs") / recipe.name.replace("/", "-")
    number = 1
    while (folder := base if number == 1 else base.with_name(f"{base.name}-{number}")).exists():
        number += 1
    return folder


def begin(folder: Path, recipe: Recipe, about: Mapping[str, Any]) -> None:
    """Create the folder with the resolved recipe and run.json."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / RECIPE, tomli_w.dumps(recipe.tree))
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
        raise ContrastError(f"{folder} is no run folder: it has no {RUN}.") from error
    except (OSError, ValueError) as error:
        raise ContrastError(f"{folder / RUN} can't be read: {error}.") from error
    if not isinstance(found, dict):
        raise ContrastError(f"{folder / RUN} is damaged: it holds no table.")
    return found


def recipe_of(folder: Path, settings: Sequence[str] = ()) -> Recipe:
    """The resolved recipe of a run, with further settings; its paths are one's own and trusted."""
    about(folder)
    return load_recipe(folder / RECIPE, settings, trusted=True)
