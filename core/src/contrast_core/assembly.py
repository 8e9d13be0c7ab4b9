"""From a recipe to a pipeline that can start: composed, its data loaded, its parts prepared, its weights in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from contrast_core import runfolder
from contrast_core.compose import Composition, compose
from contrast_core.errors import ContrastError
from contrast_core.pipeline import PartError
from contrast_core.recipe import Recipe
from contrast_core.registry import Registry
from contrast_core.training.checkpoint import seed_everything
from contrast_core.training.legs import begin_rehearsal, beginning_of, marked, tasks_of
from contrast_core.training.loader import training_items
from contrast_core.training.runtime import runtime_for


def assemble(
    recipe: Recipe, registry: Registry, fitted: Mapping[str, Tensor] | None = None, *, new: bool = True
) -> Composition:
    """Compose, load and prepare; every call with the same recipe and data gives the same bits.

    Args:
        fitted: what a trained model kept of its data, for the data to adopt.
        new: whether it is to be trained; the data of a trained model need not have the tasks that it was trained on.

    Raises:
        ContrastError: whatever does not fit, can't be loaded or can't be built, with its place in the recipe.
    """
    training = recipe.training
    if training.threads is not None:
        torch.set_num_threads(training.threads)
    seed_everything(training.seed)
    composition = compose(recipe, registry)
    data = composition.data
    section = recipe.single("data")
    label = f"{section.where() if section else ''}: data ({section.use if section else ''})"
    with _blaming(label):
        data.load()
        if fitted:
            data.adopt(fitted)
        # Loading may draw random numbers, and fewer of them when a cache exists.
        seed_everything(training.seed)
        if len(data) == 0:
            raise ValueError("it has no items.")
    for name, evaluator in composition.evaluators.items() if new else ():
        with _blaming(f"{recipe.source.where(f'evaluation.{name}')}: [evaluation.{name}]"):
            evaluator.check(data)
    tasks = tasks_of(composition) if new else ()
    begin_rehearsal(composition, tasks)
    with _blaming(label):
        beginning = beginning_of(data, tasks)
        first = beginning.batch(training_items(beginning)[: training.batch_size])
    if composition.tasks is not None and not new:
        first = marked(first)
    try:
        composition.pipeline.prepare(first)
    except PartError as error:
        raise ContrastError(f"{recipe.source.where(error.path)}: {error}") from error
    return composition


@contextmanager
def _blaming(label: str) -> Iterator[None]:
    """Name the part in what it raises."""
    try:
        yield
    except (ContrastError, ValueError, KeyError, OSError, ImportError) as error:
        raise ContrastError(f"{label}: {error}") from error


def carry(state: Mapping[str, Tensor], composition: Composition) -> None:
    """Weights of the stage before, wherever name and shape agree."""
    own = composition.pipeline.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    composition.pipeline.load_state_dict(fitting, strict=False)


def trained(folder: Path, settings: Sequence[str], registry: Registry) -> Composition:
    """The last stage of a finished run with its trained weights.

    Raises:
        ContrastError: if there is no model yet, it is damaged, or it does not fit the data or the settings.
    """
    recipe = runfolder.recipe_of(folder, settings)
    path = folder / runfolder.MODEL
    if not path.exists():
        status = runfolder.about(folder).get("status", "unknown")
        raise ContrastError(f"{folder} holds no trained model (status: {status}); finish it with --resume {folder}.")
    kept = folder / runfolder.FITTED
    composition = assemble(recipe.stages()[-1][1], registry, _tensors(kept) if kept.exists() else None, new=False)
    weights = _tensors(path)
    try:
        composition.pipeline.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ContrastError(f"The model {path} can't be used with these data and settings: {reason}") from error
    composition.pipeline.to(runtime_for(composition.training).device)
    return composition


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ContrastError(f"{path} can't be read, it may be damaged: {' '.join(str(error).split())[:300]}") from error
