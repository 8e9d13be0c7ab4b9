"""For every kind an honest component, and one for each check, of the check's name, that breaks it and nothing else."""

from __future__ import annotations

from contrast_core.spec import Component, Manifest, RecipeFile

BROKEN = {
    "data": (
        "has-an-example batches-hold-what-it-says an-item-stays-what-it-is splits-do-not-overlap "
        "says-where-it-comes-from loading-leaves-generators-alone"
    ),
    "tasks": "tasks-are-of-the-data same-tasks-again",
    "rehearsal": "keeps-what-it-is-offered every-bit-is-in-buffers draws-nothing-globally",
    "view": (
        "gives-what-it-says reads-what-it-needs leaves-its-input-alone nothing-random-in-evaluation "
        "same-seed-same-views order-of-items continues-bit-for-bit"
    ),
    "encoder": (
        "gives-what-it-says reads-what-it-needs leaves-its-input-alone nothing-random-in-evaluation "
        "same-seed-same-rows rows-are-independent gradient-reaches-every-parameter half-precision continues-bit-for-bit"
    ),
    "memory": (
        "reads-a-table keeps-rows-of-its-own every-bit-is-in-buffers reading-changes-nothing processes-agree "
        "continues-bit-for-bit"
    ),
    "sampler": (
        "gives-what-it-says reads-what-it-needs weights-are-weights relations-agree-in-tiles order-of-rows "
        "nothing-to-pair same-seed-same-pairs processes-agree continues-bit-for-bit"
    ),
    "objective": (
        "loads constructor-is-the-schema documented numbers-that-make-no-sense terms-are-scalars gradient-flows "
        "reads-what-it-needs leaves-its-input-alone same-seed-same-value order-of-rows tiles-agree precision "
        "nothing-to-attract parameters-are-registered holds-no-model gradient-cache-agrees processes-agree "
        "continues-bit-for-bit"
    ),
    "step": "learns same-seed-same-training continues-bit-for-bit",
    "evaluator": "scores-are-scores same-generator-same-scores leaves-its-input-alone refuses-what-is-not-finite",
    "similarity": "gives-a-number-a-pair blocks-agree",
}
MODULES = {"data": "data", "tasks": "tasks", "rehearsal": "stores", "memory": "memories", "similarity": "similarities"}


def contrast_manifest() -> Manifest:
    """The class of the check `order-of-rows` is `OrderOfRows`."""
    components = []
    for kind, checks in BROKEN.items():
        module = MODULES.get(kind, f"{kind}s")
        for name in ("honest", *checks.split()):
            target = f"contrast_broken.{module}:{name.title().replace('-', '')}"
            components.append(Component(kind, f"broken/{name}", target, f"{kind} {name}", "none: made for a test"))
    recipe = RecipeFile("broken/honest", "contrast_broken", "recipes/honest.toml", "An honest recipe.")
    return Manifest(api=1, components=components, recipes=[recipe])
