"""From a recipe to objects that fit together, or to one sentence that says which two do not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from torch import nn

from contrast_core.building import Builder, Built
from contrast_core.errors import ContrastError
from contrast_core.fitting import check_continual, check_fit
from contrast_core.interfaces import Data, Encoder, Evaluator, Memory, Objective, PairSampler, Step, View
from contrast_core.pipeline import Pipeline, Weighted
from contrast_core.recipe import Recipe, Section, Training
from contrast_core.registry import Registry
from contrast_core.schema import shown
from contrast_core.tasks import Rehearsal, Tasks
from contrast_core.training.steps import Ordinary


@frozen(eq=False)
class Composition:
    """Everything a run needs, checked; `parts` holds all components, nested ones too, by their place in the recipe."""

    recipe: Recipe
    data: Data
    pipeline: Pipeline
    step: Step
    training: Training
    evaluators: Mapping[str, Evaluator]
    parts: Mapping[str, Built] = field(factory=dict)
    tasks: Tasks | None = None


def compose(recipe: Recipe, registry: Registry) -> Composition:
    """Build every component of a recipe (one without stages) and check that they fit; nothing is read or trained yet.

    Raises:
        ContrastError: for an unknown component, a wrong option, a missing section, or parts that do not fit.
    """
    _check_names(recipe)
    builder = Builder(recipe, registry)
    data = builder.required("data", Data)
    tasks, rehearsal = builder.optional("tasks", Tasks), builder.optional("rehearsal", Rehearsal)
    encoder = builder.required("encoder", Encoder)
    views, late = _views(builder)
    objectives = {}
    for name, section in recipe.named("objective").items():
        weight, section = _taken(section, "weight", float, 1.0)
        objectives[name] = Weighted(builder.build(section, Objective), weight)
    if not objectives:
        raise ContrastError(f"{recipe.source.file}: a recipe needs at least one [objective.NAME].")
    composition = Composition(
        recipe,
        data,
        Pipeline(
            views,
            encoder,
            late,
            {name: builder.build(section, Memory) for name, section in recipe.named("memory").items()},
            {name: builder.build(section, PairSampler) for name, section in recipe.named("sampler").items()},
            objectives,
            rehearsal,
        ),
        builder.optional("step", Step) or Ordinary(),
        recipe.training,
        {name: builder.build(section, Evaluator) for name, section in recipe.named("evaluation").items()},
        builder.parts,
        tasks,
    )
    check_continual(composition)
    check_fit(composition, builder.labels)
    return composition


def encoder_alone(recipe: Recipe, registry: Registry) -> tuple[dict[str, View], Encoder]:
    """What embeds: the views before the encoder, by name, and the encoder.

    Raises:
        ContrastError: as by `compose`.
    """
    builder = Builder(recipe, registry)
    encoder: Encoder = builder.required("encoder", Encoder)
    return _views(builder)[0], encoder


def _views(builder: Builder) -> tuple[dict[str, View], dict[str, View]]:
    """The views before the encoder, and those after it."""
    views: dict[str, View] = {}
    late: dict[str, View] = {}
    for name, section in builder.recipe.named("view").items():
        after, section = _taken(section, "after_encoder", bool, False)
        (late if after else views)[name] = builder.build(section, View)
    return views, late


def _check_names(recipe: Recipe) -> None:
    for kind in ("view", "memory", "sampler", "objective"):
        for name, section in recipe.named(kind).items():
            if hasattr(nn.ModuleDict, name):
                raise ContrastError(
                    f"{section.where()}: torch keeps the name '{name}' for itself; rename [{kind}.{name}]."
                )


def _taken(section: Section, key: str, kind: type, default: Any) -> tuple[Any, Section]:
    """A key that belongs to the pipeline rather than to the component, and the section without it."""
    value = section.options.get(key, default)
    words = "a number" if kind is float else "true or false"
    fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not fits or (kind is float and (isinstance(value, bool) or not math.isfinite(value))):
        raise ContrastError(f"{section.where(key)}: '{key}' of {section.path} must be {words}, not {shown(value)}.")
    rest = {k: v for k, v in section.options.items() if k != key}
    return kind(value), Section(section.path, section.use, rest, section.source)
