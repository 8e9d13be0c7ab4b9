"""From a recipe to objects that fit together, or to one sentence that says which two do not."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from attrs import field, frozen
from torch import nn

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data, Encoder, Evaluator, Memory, Objective, PairSampler, Step, View
from contrast_core.pipeline import REHEARSED, Pipeline, Weighted
from contrast_core.recipe import Recipe, Section, Training
from contrast_core.registry import Registry
from contrast_core.schema import REQUIRED, Parameter, check, parameters_of, shown
from contrast_core.similarity import Similarity
from contrast_core.spec import Component
from contrast_core.tasks import Rehearsal, Tasks
from contrast_core.training.steps import Ordinary

INTERFACES: Mapping[type, str] = {
    Data: "data",
    Tasks: "tasks",
    Rehearsal: "rehearsal",
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
class Built:
    """A component of a recipe and what was made of it."""

    component: Component
    part: Any


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
    builder = _Builder(recipe, registry)
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
    _check_fit(composition, builder.labels)
    return composition


def encoder_alone(recipe: Recipe, registry: Registry) -> tuple[dict[str, View], Encoder]:
    """What embeds: the views before the encoder, by name, and the encoder.

    Raises:
        ContrastError: as by `compose`.
    """
    builder = _Builder(recipe, registry)
    encoder: Encoder = builder.required("encoder", Encoder)
    return _views(builder)[0], encoder


def _views(builder: _Builder) -> tuple[dict[str, View], dict[str, View]]:
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


class _Builder:
    def __init__(self, recipe: Recipe, registry: Registry):
        self.recipe, self.registry = recipe, registry
        self.labels: dict[int, str] = {}
        self.parts: dict[str, Built] = {}

    def required(self, kind: str, interface: type) -> Any:
        section = self.recipe.single(kind)
        if section is None:
            raise ContrastError(
                f'{self.recipe.source.file}: a recipe needs a section [{kind}] with use = "domain/name".'
            )
        return self.build(section, interface)

    def optional(self, kind: str, interface: type) -> Any:
        section = self.recipe.single(kind)
        return None if section is None else self.build(section, interface)

    def build(self, section: Section, interface: type) -> Any:
        kind = INTERFACES[interface]
        try:
            component = self.registry.component(kind, section.use)
        except ContrastError as error:
            raise ContrastError(f"{section.where('use')}: {error}") from error
        label = f"{section.path} ({component.name})"
        target = self._class(component, interface, section)
        try:
            parameters = parameters_of(target)
        except ContrastError as error:
            raise ContrastError(f"{section.where('use')}: {label}: {error}") from error
        except Exception as error:
            raise ContrastError(f"{section.where('use')}: {label} can't be read: {_named(error)}") from error
        options = check(parameters, section.options, label, section.where, self._special(section))
        try:
            built = target(**options)
        except ImportError as error:
            raise ContrastError(f"{section.where('use')}: {self._missing(component, error)}") from error
        except (ValueError, TypeError, ContrastError) as error:
            raise ContrastError(f"{section.where()}: {label}: {error}") from error
        except Exception as error:
            # Whatever a constructor of somebody else does, the user gets a sentence; the traceback is its cause.
            raise ContrastError(f"{section.where()}: {label} can't be built: {_named(error)}") from error
        if not isinstance(built, interface):
            raise ContrastError(_wrong_kind(component, interface, section))
        self.labels[id(built)] = label
        self.parts[section.path] = Built(component, built)
        return built

    def _class(self, component: Component, interface: type, section: Section) -> Any:
        try:
            target = component.load()
        except ImportError as error:
            raise ContrastError(f"{section.where('use')}: {self._missing(component, error)}") from error
        except ContrastError as error:
            raise ContrastError(f"{section.where('use')}: {error}") from error
        except Exception as error:
            raise ContrastError(f"{section.where('use')}: {component.name} can't be loaded: {_named(error)}") from error
        if not callable(target) or (inspect.isclass(target) and not issubclass(target, interface)):
            raise ContrastError(_wrong_kind(component, interface, section))
        return target

    def _missing(self, component: Component, error: ImportError) -> str:
        owner = self.registry.owner(component)
        needed = " ".join(str(error.name or error).split())
        # An import of a name that a module lacks means another version of that module.
        cure = "upgrade" if isinstance(error, ModuleNotFoundError) else "force-reinstall"
        return f"{component.name} needs {needed}, which can't be imported: pip install --{cure} {owner.label}"

    def _special(self, section: Section) -> Callable[[Any, Any, str], Any]:
        def special(wanted: Any, value: Any, key: str) -> Any:
            """Paths and components, alone or in lists and tables; all else is for the ordinary check."""
            for choice in _choices(wanted):
                if choice is Path and isinstance(value, str):
                    return self._path(section, key, value)
                interface = _interface(choice)
                if interface is not None and isinstance(value, str | dict):
                    return self._nested(section, interface, value, key)
                origin, inner = get_origin(choice), [a for a in get_args(choice) if a is not Ellipsis]
                if not inspect.isclass(origin) or not inner or not _holds_special(inner[-1]):
                    continue
                if issubclass(origin, Mapping) and isinstance(value, dict):
                    return {k: each(inner[-1], v, f"{key}.{k}") for k, v in value.items()}
                if issubclass(origin, Collection) and isinstance(value, list):
                    items = (each(inner[-1], v, f"{key}.{n}") for n, v in enumerate(value, 1))
                    return origin(items) if origin in (list, set, frozenset) else tuple(items)
            return NotImplemented

        def each(wanted: Any, value: Any, key: str) -> Any:
            found = special(wanted, value, key)
            if found is NotImplemented:
                one = {key: Parameter(key, wanted, REQUIRED)}
                found = check(one, {key: value}, f"{section.path} ({section.use})", section.where)[key]
            return found

        return special

    def _nested(self, section: Section, interface: type, value: str | dict[str, Any], key: str) -> Any:
        table = {"use": value} if isinstance(value, str) else value
        if not isinstance(table.get("use"), str):
            place, kind = f"{section.where(key)}: [{section.path}.{key}]", INTERFACES[interface]
            raise ContrastError(f'{place} needs a line use = "domain/name", the name of {_a(kind)}.')
        options = {k: v for k, v in table.items() if k != "use"}
        return self.build(Section(f"{section.path}.{key}", table["use"], options, section.source), interface)

    def _path(self, section: Section, key: str, value: str) -> Path:
        folder, path = self.recipe.folder, f"{section.path}.{key}"
        if section.source.trusts(path):
            found = Path(value).expanduser().absolute()
        elif folder is None:
            found = Path(value).expanduser()
        else:
            found = (folder / value).resolve()
            if not found.is_relative_to(folder):
                raise ContrastError(
                    f"{section.where(key)}: the path '{value}' leaves the recipe's folder; if you trust it, give it "
                    f"yourself: --set {path}={value}"
                )
        self.recipe.remember(path, found)
        return found


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


def _wrong_kind(component: Component, interface: type, section: Section) -> str:
    return (
        f"{section.where('use')}: {component.target} is registered as {_a(component.kind)}, {component.name}, "
        f"but it is no {interface.__name__}."
    )


def _a(kind: str) -> str:
    return kind if kind == "data" else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _interface(wanted: Any) -> type | None:
    return next((i for i in INTERFACES if inspect.isclass(wanted) and issubclass(wanted, i)), None)


def _holds_special(wanted: Any) -> bool:
    """Whether a path or a component is somewhere in a type."""
    return wanted is Path or _interface(wanted) is not None or any(_holds_special(a) for a in get_args(wanted))


def _choices(wanted: Any) -> tuple[Any, ...]:
    return get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)


def _taken(section: Section, key: str, kind: type, default: Any) -> tuple[Any, Section]:
    """A key that belongs to the pipeline rather than to the component, and the section without it."""
    value = section.options.get(key, default)
    words = "a number" if kind is float else "true or false"
    fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not fits or (kind is float and (isinstance(value, bool) or not math.isfinite(value))):
        raise ContrastError(f"{section.where(key)}: '{key}' of {section.path} must be {words}, not {shown(value)}.")
    rest = {k: v for k, v in section.options.items() if k != key}
    return kind(value), Section(section.path, section.use, rest, section.source)


IN_BATCHES = (REHEARSED, "task")
"""Names that a batch of a training over tasks has beside those that the data give."""

OVER_TASKS = "tasks"
"""The evaluator's name under which scores over tasks are shown."""


def check_continual(composition: Composition) -> None:
    """Raise ContrastError if what a recipe says of tasks does not go with the rest of it."""
    source, training, tasks = composition.recipe.source, composition.training, composition.tasks
    if tasks is None:
        if composition.pipeline.rehearsal is not None:
            where = source.where("rehearsal")
            raise ContrastError(f"{where}: [rehearsal] keeps items of ended tasks, and there is no section [tasks].")
        return
    for key in ("patience", "validate"):
        if getattr(training, key) is not None:
            raise ContrastError(
                f"{source.where(f'training.{key}')}: [training] {key} would end training before the last task; with "
                "[tasks] set epochs or steps, which are those of each task."
            )
    if OVER_TASKS in composition.evaluators:
        where = source.where(f"evaluation.{OVER_TASKS}")
        raise ContrastError(
            f"{where}: scores over tasks are shown as '{OVER_TASKS}': rename [evaluation.{OVER_TASKS}]."
        )
    for wanted in tasks.measure:
        evaluator, _, metric = wanted.partition("/")
        if evaluator not in composition.evaluators or not metric:
            have = ", ".join(composition.evaluators) or "none"
            raise ContrastError(
                f"{source.where('tasks.measure')}: measure names scores as 'EVALUATOR/METRIC', not '{wanted}'; the "
                f"recipe's evaluators are: {have}."
            )


def _check_fit(composition: Composition, labels: Mapping[int, str]) -> None:
    """Walk the flow in order; every needed name must have been given before."""
    pipeline, data = composition.pipeline, composition.data
    source = composition.recipe.source
    given = {name: labels[id(data)] for name in data.gives}

    def offers(part: Any, need: str) -> list[str]:
        # A memory gives itself, under the name of its section. Columns are of interest only to who wants one.
        own = [labels[id(part)].partition(" ")[0].rpartition(".")[2]] if isinstance(part, Memory) else []
        return sorted(name for name in {*part.gives, *own} if "." in need or "." not in name)

    def require(part: Any, upstream: Iterable[Any]) -> None:
        for need in part.needs:
            if need not in given:
                label = labels[id(part)]
                sides = [f"{labels[id(p)]} gives {', '.join(offers(p, need)) or 'nothing'}" for p in upstream]
                where = source.where(label.partition(" ")[0])
                raise ContrastError(
                    f"{where}: {label} needs '{need}', but {' and '.join(sides) or 'nothing is before it'}."
                )

    def pass_through(part: Any, upstream: Iterable[Any]) -> None:
        require(part, upstream)
        # An encoder carries labels along, but cannot give what the data do not have.
        labelled = "label" in data.gives or "embedding.label" in data.gives
        gives = (name for name in part.gives if labelled or not name.endswith(".label"))
        given.update({name: labels[id(part)] for name in gives})

    before: list[Any] = [data]
    for view in pipeline.views.values():
        pass_through(view, before)
        before.append(view)
    pass_through(pipeline.encoder, before)
    if composition.tasks is not None:
        marked = [n.removesuffix(".sample") for n in pipeline.encoder.gives if n.endswith(".sample")]
        # What evaluates or exports knows of no task, so views and the encoder may not ask.
        names = (*IN_BATCHES, *(f"{name}.{REHEARSED}" for name in marked))
        given.update({name: labels[id(composition.tasks)] for name in names})
    tables: list[Any] = [pipeline.encoder]
    for view in pipeline.late_views.values():
        pass_through(view, tables)
        tables.append(view)
    have = dict(given)
    for name, memory in pipeline.memories.items():
        pass_through(memory, tables)
        if name in have:
            label = labels[id(memory)]
            raise ContrastError(
                f"{source.where(f'memory.{name}')}: {label} has a name that {have[name]} gives: rename it."
            )
        given[name] = labels[id(memory)]
    pairs: dict[str, str] = {}
    samplers: list[Any] = list(pipeline.samplers.values())
    for sampler in samplers:
        pass_through(sampler, [*tables, *pipeline.memories.values()])
        for name in sampler.gives:
            if name in pairs:
                place = source.where(labels[id(sampler)].partition(" ")[0])
                raise ContrastError(
                    f"{place}: {labels[id(sampler)]} gives '{name}', but so does {pairs[name]}: rename one of them."
                )
            pairs[name] = labels[id(sampler)]
    for objective in pipeline.objectives.values():
        require(objective, [*pipeline.samplers.values()] or tables)
    # Evaluators see the embedding, whatever the encoder calls its table, and the encoder's other tables.
    sides = {labels[id(pipeline.encoder)]: "", labels[id(data)]: "."}
    given = {name: label for name, label in given.items() if label in sides and sides[label] in name}
    given["embedding"] = labels[id(pipeline.encoder)]
    if pipeline.rehearsal is not None:
        given["rehearsal"] = labels[id(pipeline.rehearsal)]
    for evaluator in composition.evaluators.values():
        require(evaluator, [pipeline.encoder, data])
