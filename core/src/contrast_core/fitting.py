"""Whether the parts of a recipe fit each other: names along the flow, and what goes with tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Memory
from contrast_core.tasks import IN_BATCHES, REHEARSED

if TYPE_CHECKING:
    from contrast_core.compose import Composition

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


def check_fit(composition: Composition, labels: Mapping[int, str]) -> None:
    """Walk the flow in order; every needed name must have been given before.

    Args:
        composition: what was composed; labels: what messages call a part, by its id.

    Raises:
        ContrastError: for a name that nobody gives, or that two parts give.
    """
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
