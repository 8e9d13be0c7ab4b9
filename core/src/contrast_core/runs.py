"""The four things one does with a recipe: run it (or resume), evaluate the run, embed items, report. The Python API.

import contrast_core as contrast

run = contrast.run("graph/meow", set={"training.epochs": 20})
print(run.folder, run.scores[0])
table = contrast.embed(run.folder)              # Embeddings: z, sample, label
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from attrs import asdict, frozen
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from contrast_core import runfolder
from contrast_core.compose import Composition, compose
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.files import replacing, write_text
from contrast_core.interfaces import Evaluator, Score
from contrast_core.recipe import Recipe, load_recipe
from contrast_core.registry import Registry, discover
from contrast_core.training.checkpoint import load_checkpoint, seed_everything
from contrast_core.training.fit import Progress, embed_all, fit


@frozen(eq=False)
class Run:
    """A finished run: its folder, and its scores by evaluator."""

    folder: Path
    scores: Mapping[str, Sequence[Score]]


def find_recipe(name: str, registry: Registry, settings: Sequence[str] = ()) -> Recipe:
    """A recipe by the path of its file or by its registered name."""
    if name.endswith(".toml") or Path(name).is_file():
        return load_recipe(name, settings)
    return load_recipe(registry.recipe(name).locate(), settings)


def run(
    recipe: str | Path,
    *,
    set: Mapping[str, Any] | Sequence[str] = (),
    out: str | Path | None = None,
    progress: Progress = lambda *_: None,
    registry: Registry | None = None,
) -> Run:
    """Train a recipe, evaluate it and write its report.

    Args:
        recipe: a registered name ("graph/meow") or the path of a TOML file.
        set: settings stronger than the recipe, as a mapping or as "section.key=value" texts.
        out: the run folder; by default the first free one under runs/.
        progress: called with (steps done, steps in all, text).
        registry: plugins to use; by default the installed ones.

    Raises:
        ContrastError: whatever is wrong, in one sentence; before training starts nothing has been written.
    """
    registry = registry or discover()
    resolved = find_recipe(str(recipe), registry, _as_settings(set))
    folder = runfolder.new_folder(resolved, Path(out) if out is not None else None)
    # Every stage is composed before the first one trains: a misfit in the last must not cost hours.
    stages = resolved.stages()
    for _, stage in stages:
        compose(stage, registry)
    first = _assemble(stages[0][1], registry)
    runfolder.begin(folder, resolved, _about(resolved, first, registry))
    return _train(folder, resolved, registry, progress, first)


def resume(
    folder: str | Path, *, progress: Progress = lambda *_: None, registry: Registry | None = None
) -> Run:
    """Go on with an interrupted run from its last checkpoint, exactly as if it had never stopped.

    Raises:
        ContrastError: if the folder holds no run, or its checkpoint is damaged.
    """
    folder = Path(folder)
    return _train(folder, runfolder.recipe_of(folder), registry or discover(), progress, None)


def evaluate(
    folder: str | Path, *, set: Mapping[str, Any] | Sequence[str] = (), registry: Registry | None = None
) -> Run:
    """Evaluate the trained model of a run again, with other settings if given, and write the scores."""
    folder = Path(folder)
    composition = _trained(folder, _as_settings(set), registry or discover())
    return Run(folder, _write_results(folder, composition))


def embed(
    folder: str | Path, *, set: Mapping[str, Any] | Sequence[str] = (), registry: Registry | None = None
) -> Embeddings:
    """The embedding of every item by the trained model of a run; `set={"data.path": ...}` for other items."""
    composition = _trained(Path(folder), _as_settings(set), registry or discover())
    return embed_all(
        composition.pipeline, composition.data, composition.training.batch_size, torch.device("cpu")
    )


def write_report(folder: str | Path) -> Path:
    """Write `report.html` of a run (finished or not) and return its path."""
    from contrast_core.report import write_report as write

    runfolder.about(Path(folder))
    return write(Path(folder))


def _train(
    folder: Path, recipe: Recipe, registry: Registry, progress: Progress, first: Composition | None
) -> Run:
    state = load_checkpoint(folder) if first is None else None
    stages = recipe.stages()
    step, alarms, carried = 0, [], None
    began = time.perf_counter()
    runfolder.update(folder, status="running")
    composition = first
    try:
        for number, (name, stage) in enumerate(stages):
            if state and number < state["stage"]:
                continue
            if composition is None or number > 0:
                composition = _assemble(stage, registry)
            if carried is not None:
                _carry(carried, composition)
            here = state if state and state["stage"] == number else None
            step, raised = fit(
                composition,
                folder,
                stage=name,
                stage_number=number,
                first_step=here["first_step"] if here else step,
                resume=here,
                progress=progress,
            )
            alarms += raised
            carried = composition.pipeline.state_dict()
        assert composition is not None
        _write_model(folder, composition, registry)
        scores = _write_results(folder, composition)
    except (Exception, KeyboardInterrupt) as error:
        how = "interrupted" if isinstance(error, KeyboardInterrupt) else f"failed: {error}"
        runfolder.update(folder, status=how)
        raise
    parameters = sum(p.numel() for p in composition.pipeline.parameters())
    earlier = runfolder.about(folder).get("seconds") or 0.0
    runfolder.update(
        folder,
        status="finished",
        steps=step,
        alarms=alarms,
        parameters=parameters,
        seconds=round(earlier + time.perf_counter() - began, 1),
    )
    write_report(folder)
    return Run(folder, scores)


def _assemble(recipe: Recipe, registry: Registry) -> Composition:
    """Compose, load and prepare; every call with the same recipe gives the same bits."""
    training = recipe.training
    if training.threads is not None:
        torch.set_num_threads(training.threads)
    seed_everything(training.seed)
    composition = compose(recipe, registry)
    section = recipe.single("data")
    label = f"{section.where() if section else ''}: data ({section.use if section else ''})"
    try:
        composition.data.load()
        # Loading may draw random numbers, and fewer of them when a cache exists.
        seed_everything(training.seed)
        composition.pipeline.prepare(
            composition.data.batch(torch.arange(len(composition.data))[: training.batch_size])
        )
    except (ValueError, OSError) as error:
        raise ContrastError(f"{label}: {error}") from error
    return composition


def _carry(state: Mapping[str, Tensor], composition: Composition) -> None:
    """Weights of the stage before, wherever name and shape agree."""
    own = composition.pipeline.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    composition.pipeline.load_state_dict(fitting, strict=False)


def _trained(folder: Path, settings: Sequence[str], registry: Registry) -> Composition:
    recipe = runfolder.recipe_of(folder, settings)
    path = folder / runfolder.MODEL
    if not path.exists():
        status = runfolder.about(folder).get("status", "unknown")
        raise ContrastError(
            f"{folder} holds no trained model (status: {status}); finish it with --resume {folder}."
        )
    composition = _assemble(recipe.stages()[-1][1], registry)
    try:
        composition.pipeline.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ContrastError(f"The model {path} can't be used: {reason}") from error
    return composition


def _write_model(folder: Path, composition: Composition, registry: Registry) -> None:
    section = composition.recipe.single("encoder")
    assert section is not None
    component = registry.component("encoder", section.use)
    owner = registry.owner(component)
    _save_tensors(folder / runfolder.MODEL, composition.pipeline.state_dict())
    _save_tensors(folder / "encoder.safetensors", composition.pipeline.encoder.state_dict())
    described = {
        "component": component.name,
        "target": component.target,
        "options": section.options,
        "distribution": owner.distribution,
        "version": owner.version,
        "embedding": composition.pipeline.encoder.embedding,
    }
    write_text(folder / "encoder.json", json.dumps(described, indent=2) + "\n")


def _write_results(folder: Path, composition: Composition) -> dict[str, list[Score]]:
    table = embed_all(
        composition.pipeline, composition.data, composition.training.batch_size, torch.device("cpu")
    )
    scores = {
        name: _scores(name, evaluator, table, composition)
        for name, evaluator in composition.evaluators.items()
    }
    lines = [{"evaluator": name, **asdict(score)} for name, found in scores.items() for score in found]
    write_text(folder / "evaluation.json", json.dumps(lines, indent=2) + "\n")
    _save_tensors(folder / "embedding.safetensors", {**table.fields, **table.columns})
    write_text(folder / "names.json", json.dumps(list(composition.data.names)) + "\n")
    return scores


def _scores(name: str, evaluator: Evaluator, table: Embeddings, composition: Composition) -> list[Score]:
    generator = torch.Generator().manual_seed(composition.training.seed)
    try:
        return list(evaluator.evaluate(table, composition.data, generator))
    except ValueError as error:
        raise ContrastError(f"evaluation.{name}: {error}") from error


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with replacing(path) as temporary:
        save_file(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, temporary
        )


def _about(recipe: Recipe, composition: Composition, registry: Registry) -> dict[str, Any]:
    plugins = {p.distribution: p.version for p in registry.plugins if p.manifest}
    libraries = {name: version(name) for name in ("torch", "numpy")}
    return {
        "name": recipe.name,
        "title": recipe.about("title"),
        "summary": recipe.about("summary"),
        "paper": recipe.about("paper"),
        "command": shlex.join(["contrast", *sys.argv[1:]]) if Path(sys.argv[0]).stem == "contrast" else "",
        "seed": composition.training.seed,
        "status": "running",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
        "versions": {**plugins, **libraries, "python": platform.python_version()},
        "data": composition.data.source,
        "classes": list(composition.data.classes),
        "device": composition.training.device,
        "alarms": [],
    }


def _as_settings(given: Mapping[str, Any] | Sequence[str]) -> list[str]:
    if not isinstance(given, Mapping):
        return list(given)
    return [
        f"{key}={json.dumps(value) if not isinstance(value, Path) else value}" for key, value in given.items()
    ]
