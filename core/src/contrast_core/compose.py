"""From a recipe to objects that fit together, or to one sentence that says which two do not."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from attrs import frozen

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data, Encoder, Evaluator, Memory, Objective, PairSampler, Step, View
from contrast_core.pipeline import Pipeline, Weighted
from contrast_core.recipe import Recipe, Section, Training
from contrast_core.registry import Registry
from contrast_core.schema import check, parameters_of
from contrast_core.similarity import Similarity
from contrast_core.training.steps import Ordinary

INTERFACES: Mapping[type, str] = {
    Data: "data",
    View: "view",
    Encoder: "encoder",
    Memory: "memory",
    PairSampler: "sampler",
    Objective: "objective",
    Step: "step",
    Evaluator: "evaluator",
    Similarity: "similarity",
}


@frozen(eq=False)
class Composition:
    """Everything a run needs, checked."""

    recipe: Recipe
    data: Data
    pipeline: Pipeline
    step: Step
    training: Training
    evaluators: Mapping[str, Evaluator]


def compose(recipe: Recipe, registry: Registry) -> Composition:
    """Build every component of a recipe (one without stages) and check that they fit; nothing is read or trained yet.

    Raises:
        ContrastError: for an unknown component, a wrong option, a missing section, or parts that do not fit.
    """
    builder = _Builder(recipe, registry)
    data = builder.required("data", Data)
    encoder = builder.required("encoder", Encoder)
    step_section = recipe.single("step")
    views: dict[str, View] = {}
    late: dict[str, View] = {}
    for name, section in recipe.named("view").items():
        after, section = _taken(section, "after_encoder", bool, False)
        (late if after else views)[name] = builder.build(section, View)
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
        ),
        builder.build(step_section, Step) if step_section else Ordinary(),
        recipe.training,
        {name: builder.build(section, Evaluator) for name, section in recipe.named("evaluation").items()},
    )
    _check_fit(composition, builder.labels)
    return composition


class _Builder:
    def __init__(self, recipe: Recipe, registry: Registry):
        self.recipe, self.registry = recipe, registry
        self.labels: dict[int, str] = {}

    def required(self, kind: str, interface: type) -> Any:
        section = self.recipe.single(kind)
        if section is None:
            raise ContrastError(
                f'{self.recipe.source.file}: a recipe needs a section [{kind}] with use = "domain/name".'
            )
        return self.build(section, interface)

    def build(self, section: Section, interface: type) -> Any:
        kind = INTERFACES[interface]
        try:
            component = self.registry.component(kind, section.use)
        except ContrastError as error:
            raise ContrastError(f"{section.where('use')}: {error}") from error
        label = f"{section.path} ({component.name})"
        owner = self.registry.owner(component)
        try:
            target = component.load()
        except ImportError as error:
            raise ContrastError(
                f"{section.where('use')}: {component.name} needs {error.name or error}, which can't be imported: "
                f"pip install {owner.distribution}"
            ) from error
        options = check(parameters_of(target), section.options, label, section.where, self._special(section))
        try:
            built = target(**options)
        except (ValueError, TypeError) as error:
            raise ContrastError(f"{section.where()}: {label}: {error}") from error
        if not isinstance(built, interface):
            raise ContrastError(f"{component.target} is registered as {kind} but is no {interface.__name__}.")
        self.labels[id(built)] = label
        return built

    def _special(self, section: Section) -> Callable[[Any, Any, str], Any]:
        def special(wanted: Any, value: Any, key: str) -> Any:
            for choice in _choices(wanted):
                if choice is Path and isinstance(value, str):
                    return self._path(section, key, value)
                interface = next(
                    (i for i in INTERFACES if inspect.isclass(choice) and issubclass(choice, i)), None
                )
                if interface is not None and isinstance(value, str | dict):
                    table = {"use": value} if isinstance(value, str) else value
                    inner = {k: v for k, v in table.items() if k != "use"}
                    return self.build(
                        Section(f"{section.path}.{key}", str(table.get("use", "")), inner, section.source),
                        interface,
                    )
            return NotImplemented

        return special

    def _path(self, section: Section, key: str, value: str) -> Path:
        folder = self.recipe.folder
        if folder is None or f"{section.path}.{key}" in section.source.settings:
            return Path(value).expanduser()
        path = (folder / value).resolve()
        if not path.is_relative_to(folder):
            raise ContrastError(
                f"{section.where(key)}: the path '{value}' leaves the recipe's folder; if you trust it, give it "
                f"yourself: --set {section.path}.{key}={value}"
            )
        return path


def _choices(wanted: Any) -> tuple[Any, ...]:
    return get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)


def _taken(section: Section, key: str, kind: type, default: Any) -> tuple[Any, Section]:
    """A key that belongs to the pipeline rather than to the component, and the section without it."""
    value = section.options.get(key, default)
    if not isinstance(value, (int, float) if kind is float else kind):
        raise ContrastError(
            f"{section.where(key)}: '{key}' must be {'a number' if kind is float else 'true or false'}."
        )
    rest = {k: v for k, v in section.options.items() if k != key}
    return value, Section(section.path, section.use, rest, section.source)


def _check_fit(composition: Composition, labels: Mapping[int, str]) -> None:
    """Walk the flow in order; every needed name must have been given before."""
    pipeline, data = composition.pipeline, composition.data
    source = composition.recipe.source
    given = {name: labels[id(data)] for name in data.gives}

    def offers(part: Any) -> list[str]:
        # A memory gives itself, under the name of its section.
        own = [labels[id(part)].partition(" ")[0].rpartition(".")[2]] if isinstance(part, Memory) else []
        return sorted({*part.gives, *own})

    def require(part: Any, upstream: Iterable[Any]) -> None:
        for need in part.needs:
            if need not in given:
                label = labels[id(part)]
                sides = [f"{labels[id(p)]} gives {', '.join(offers(p)) or 'nothing'}" for p in upstream]
                where = source.where(label.partition(" ")[0])
                raise ContrastError(
                    f"{where}: {label} needs '{need}', but {' and '.join(sides) or 'nothing is before it'}."
                )

    def pass_through(part: Any, upstream: Iterable[Any]) -> None:
        require(part, upstream)
        given.update({name: labels[id(part)] for name in part.gives})

    before: list[Any] = [data]
    for view in pipeline.views.values():
        pass_through(view, before)
        before.append(view)
    pass_through(pipeline.encoder, before)
    tables: list[Any] = [pipeline.encoder]
    for view in pipeline.late_views.values():
        pass_through(view, tables)
        tables.append(view)
    for name, memory in pipeline.memories.items():
        pass_through(memory, tables)
        given[name] = labels[id(memory)]
    for sampler in pipeline.samplers.values():
        pass_through(sampler, [*tables, *pipeline.memories.values()])
    for objective in pipeline.objectives.values():
        require(objective, [*pipeline.samplers.values()] or tables)
    for evaluator in composition.evaluators.values():
        require(evaluator, [pipeline.encoder, data])
