"""What a run leaves: what it was, its weights, its embedding and its scores."""

from __future__ import annotations

import json
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from attrs import asdict
from safetensors.torch import save_file
from threadpoolctl import threadpool_limits
from torch import Tensor

from contrast_core import runfolder
from contrast_core.compose import Composition
from contrast_core.continual.over_tasks import over_tasks
from contrast_core.diagnostics.picture import USUAL_TEMPERATURE, picture, temperature_in
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.figures import Figure
from contrast_core.files import replacing, write_text
from contrast_core.fitting import OVER_TASKS
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_core.recipe import Recipe
from contrast_core.registry import Registry
from contrast_core.training.borders import Measured
from contrast_core.training.checkpoint import seed_everything
from contrast_core.training.embedding import evaluated_tables
from contrast_core.training.legs import marked
from contrast_core.training.loader import training_items
from contrast_core.training.runtime import device_for, moved

PAIRS, FIGURES = "pairs.json", "figures.json"


def about(recipe: Recipe, composition: Composition, registry: Registry) -> dict[str, Any]:
    """run.json of a run that begins."""
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
        "device": device_for(composition.training),
        "alarms": [],
    }


def write_model(folder: Path, composition: Composition, registry: Registry) -> None:
    """The weights of the pipeline, and those of the encoder with what it takes to build it."""
    section = composition.recipe.single("encoder")
    assert section is not None
    component = registry.component("encoder", section.use)
    owner = registry.owner(component)
    _save_tensors(folder / runfolder.MODEL, composition.pipeline.state_dict())
    if fitted := composition.data.fitted():
        _save_tensors(folder / runfolder.FITTED, fitted)
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


def write_results(folder: Path, composition: Composition) -> dict[str, list[Score]]:
    """Embed everything, evaluate it, write both; the same bits right after training and at any later time.

    Without labels, by which a report could tell positives from negatives, also the similarities of a batch's pairs.
    """
    seed_everything(composition.training.seed)
    needs = {name.partition(".")[0] for each in composition.evaluators.values() for name in each.needs}
    tables = evaluated_tables(composition, needs)
    table = tables["embedding"]
    # scikit-learn has threads of its own, which would not keep to the plan's number.
    with threadpool_limits(torch.get_num_threads()):
        found = {name: _found(name, each, tables, composition) for name, each in composition.evaluators.items()}
    if over := over_tasks(_measured(folder)):
        found[OVER_TASKS] = over
    scores = {name: [one for one in mine if isinstance(one, Score)] for name, mine in found.items()}
    figures = [one.described() for mine in found.values() for one in mine if not isinstance(one, Score)]
    lines = [{"evaluator": name, **asdict(score)} for name, found in scores.items() for score in found]
    write_text(folder / "evaluation.json", json.dumps(lines, indent=2) + "\n")
    if figures:
        write_text(folder / FIGURES, json.dumps(figures) + "\n")
    else:
        (folder / FIGURES).unlink(missing_ok=True)
    _save_tensors(folder / "embedding.safetensors", {**table.fields, **table.columns})
    write_text(folder / "names.json", json.dumps(_names(composition.data, table)) + "\n")
    labels = composition.data.labels
    unlabelled = labels is None or not bool((labels >= 0).any())
    if unlabelled and (seen := _pairs_of_a_batch(composition)) is not None:
        write_text(folder / PAIRS, json.dumps(seen) + "\n")
    return scores


def write_measured(folder: Path, measured: Sequence[Measured]) -> None:
    """What was measured after each task, if there are tasks."""
    if measured:
        write_text(folder / runfolder.TASKS, json.dumps(measured, indent=1) + "\n")


def _measured(folder: Path) -> list[Measured]:
    path = folder / runfolder.TASKS
    try:
        found: list[Measured] = json.loads(path.read_text("utf-8")) if path.exists() else []
    except ValueError as error:
        raise ContrastError(f"{path} is damaged ({error}); remove it, and scores over tasks are left out.") from error
    return found


def _names(data: Data, table: Embeddings) -> list[str]:
    names = data.names
    return [names[item] for item in table["sample"].tolist()] if names else []


def _pairs_of_a_batch(composition: Composition) -> dict[str, Any] | None:
    """What a report draws of the first items' first pairs, views drawn at random; None if there are none to draw.

    Nothing is learned or remembered by it: all parts but the views are in evaluation mode.
    """
    pipeline, data = composition.pipeline, composition.data
    modes = [(module, module.training) for module in pipeline.modules()]
    device = next((p.device for p in pipeline.parameters()), torch.device("cpu"))
    pipeline.eval()
    for view in [*pipeline.views.values(), *pipeline.late_views.values()]:
        view.train()
    try:
        with torch.no_grad():
            batch = data.batch(training_items(data)[: composition.training.batch_size])
            batch = batch if composition.tasks is None else marked(batch)
            outputs = pipeline(moved(batch, device))
        pairs = next(iter(outputs.pairs.values()), None)
        temperature = temperature_in(composition.recipe.tree) or USUAL_TEMPERATURE
        return None if pairs is None else picture(pairs, temperature)
    except (ContrastError, ValueError):
        # A step of its own may train what these pairs are not made for, and a picture is no reason to lose a run.
        return None
    finally:
        for module, mode in modes:
            module.training = mode


def _found(
    name: str, evaluator: Evaluator, tables: Mapping[str, Embeddings], composition: Composition
) -> list[Score | Figure]:
    generator = torch.Generator().manual_seed(composition.training.seed)
    try:
        return list(evaluator.evaluate(tables, composition.data, generator))
    except ValueError as error:
        where = composition.recipe.source.where(f"evaluation.{name}")
        raise ContrastError(f"{where}: [evaluation.{name}] {error}") from error


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with replacing(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, temporary)
