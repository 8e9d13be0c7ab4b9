"""Surroundings made of the core's parts, for components that no recipe of their own plugin uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from contrast_core.errors import ContrastError
from contrast_core.recipe import Recipe, load_recipe
from contrast_core.spec import Component

FILE = Path(__file__).with_name("scene.toml")
TABLE = FILE.with_name("table.csv")

SCENES: Mapping[str, Sequence[str]] = {
    "views": (),
    "three-views": ('sampler.pairs.views=["one","two","three"]',),
    "labels": ("sampler.pairs.use=core/labels", 'sampler.pairs.views=["one","two"]'),
    "near-labels": ("sampler.pairs.use=core/near-labels",),
    "class-pairs": ("sampler.pairs.use=core/class-pairs",),
    "cross": ("sampler.pairs.use=core/cross",),
    "ranking": (
        "sampler.pairs.use=core/ranking",
        "sampler.pairs.anchors=one",
        "sampler.pairs.positives=two",
        'sampler.pairs.negatives=["three"]',
    ),
    "teacher": ("sampler.pairs.use=core/teacher-views", 'sampler.pairs.views=["one","two","three"]'),
    "queue": (
        "memory.queue.use=core/queue",
        "memory.queue.source=two-teacher",
        "memory.queue.size=32",
        "memory.queue.dimension=8",
        "sampler.pairs.use=core/queue-pairs",
        "sampler.pairs.anchors=one",
        "sampler.pairs.keys=two-teacher",
        "sampler.pairs.memory=queue",
    ),
    "table": (
        "data.use=core/table",
        f"data.path={TABLE}",
        "data.label=label",
        "data.shown=all",
        "view.augment.source=features",
        "view.augment.shift=0",
    ),
    "tasks": ("tasks.use=core/class-tasks", "tasks.sizes=[2, 2, 2, 2, 2]"),
    "prototypes": (
        "memory.prototypes.use=core/clusters",
        "memory.prototypes.source=one",
        "memory.prototypes.clusters=[3, 4]",
        "sampler.pairs.use=core/prototypes",
        "sampler.pairs.anchors=one",
        "sampler.pairs.memory=prototypes",
        "sampler.pairs.assigned=one",
    ),
}
"""Settings of the scene by its name; each replaces parts of `scene.toml`."""

PLACES: Mapping[str, str] = {
    "objective": "objective.contrast",
    "sampler": "sampler.pairs",
    "memory": "memory.queue",
    "view": "view.augment",
    "encoder": "encoder",
    "data": "data",
    "tasks": "tasks",
    "rehearsal": "rehearsal",
    "step": "step",
    "evaluator": "evaluation.check",
    "similarity": "objective.contrast.similarity",
}
"""Where in a recipe a component of a kind is put."""


def scene(name: str, component: Component, settings: Sequence[str] = ()) -> Recipe:
    """The scene with a component in it.

    Raises:
        ContrastError: if there is no such scene.
    """
    if name not in SCENES:
        raise ContrastError(f"There is no scene '{name}'; the scenes are {', '.join(SCENES)}.")
    place = PLACES[component.kind]
    return load_recipe(FILE, [*SCENES[name], f"{place}.use={component.name}", *settings], trusted=True)


def scenes(component: Component) -> Iterator[tuple[str, Recipe]]:
    """Every scene with a component in it, the plainest first."""
    for name in SCENES:
        yield name, scene(name, component)
