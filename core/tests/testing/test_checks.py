"""Every check of the kit finds what it is there for, and nothing in components that keep their promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from contrast_core.spec import KINDS
from contrast_core.testing import check
from contrast_core.testing.checks import checks_of
from contrast_core.testing.outcome import Report, Result

FOR_ALL = {"loads", "constructor-is-the-schema", "documented", "numbers-that-make-no-sense"}
"""Checks of all kinds; one kind shows that they find something."""

SAYS: Mapping[str, str] = {
    "data:has-an-example": "add one, or an [[example]]",
    "data:batches-hold-what-it-says": "a batch lacks 'label'",
    "data:an-item-stays-what-it-is": "'image' depends on the order",
    "data:splits-do-not-overlap": "in train and in test",
    "data:says-where-it-comes-from": "must say what the data are",
    "data:loading-leaves-generators-alone": "global generator of torch",
    "tasks:tasks-are-of-the-data": "are no items of the data",
    "tasks:same-tasks-again": "makes other tasks",
    "rehearsal:keeps-what-it-is-offered": "it may choose at most 20",
    "rehearsal:every-bit-is-in-buffers": "makes another choice",
    "rehearsal:draws-nothing-globally": "global generator of torch",
    "view:gives-what-it-says": "'four' is not among",
    "view:reads-what-it-needs": "It reads 'label'",
    "view:leaves-its-input-alone": "It changes 'image' in place",
    "view:nothing-random-in-evaluation": "global generator of torch",
    "view:same-seed-same-views": "Twice with the same seed",
    "view:order-of-items": "depends on the order",
    "view:continues-bit-for-bit": "some state is in no persistent buffer",
    "encoder:gives-what-it-says": "'four' is not among",
    "encoder:reads-what-it-needs": "It reads 'label'",
    "encoder:leaves-its-input-alone": "in place",
    "encoder:nothing-random-in-evaluation": "global generator of torch",
    "encoder:same-seed-same-rows": "Twice with the same seed",
    "encoder:rows-are-independent": "depends on the others in its batch",
    "encoder:gradient-reaches-every-parameter": "'head.weight' gets no gradient",
    "encoder:half-precision": "Under autocast it ends in RuntimeError",
    "encoder:continues-bit-for-bit": "some state is in no persistent buffer",
    "memory:reads-a-table": "no column 'source'",
    "memory:keeps-rows-of-its-own": "Writing changes a table that was read before",
    "memory:every-bit-is-in-buffers": "its state gives other rows",
    "memory:reading-changes-nothing": "Reading changes its state 'readers'",
    "memory:processes-agree": "the memory's buffer rows is another than in one",
    "memory:continues-bit-for-bit": "some state is in no persistent buffer",
    "sampler:gives-what-it-says": "gives ['pairs']",
    "sampler:reads-what-it-needs": "It reads 'three'",
    "sampler:weights-are-weights": "negative or not finite",
    "sampler:relations-agree-in-tiles": "In tiles, the negatives",
    "sampler:order-of-rows": "Who meets whom in 'pairs' depends on the order",
    "sampler:nothing-to-pair": "Tables without rows end in",
    "sampler:same-seed-same-pairs": "Twice with the same seed",
    "sampler:processes-agree": "In two processes",
    "sampler:continues-bit-for-bit": "some state is in no persistent buffer",
    "objective:loads": "does not define forward",
    "objective:constructor-is-the-schema": "The default of 'margin'",
    "objective:documented": "has no docstring",
    "objective:numbers-that-make-no-sense": "parts = 0 ends in ZeroDivisionError",
    "objective:terms-are-scalars": "counts -1 rows",
    "objective:gradient-flows": "zero everywhere",
    "objective:reads-what-it-needs": "It reads 'label'",
    "objective:leaves-its-input-alone": "It changes 'one.view' in place",
    "objective:same-seed-same-value": "gives two values",
    "objective:order-of-rows": "The value depends on the order",
    "objective:tiles-agree": "The value in tiles is another",
    "objective:precision": "a value of torch.float32",
    "objective:nothing-to-attract": "gives nan",
    "objective:parameters-are-registered": "holds a tensor that wants a gradient",
    "objective:holds-no-model": "It holds an encoder",
    "objective:gradient-cache-agrees": "The gradient cache gives",
    "objective:processes-agree": "In two processes, the loss is another",
    "objective:continues-bit-for-bit": "some state is in no persistent buffer",
    "step:learns": "no parameter has changed",
    "step:same-seed-same-training": "two trainings from one seed",
    "step:continues-bit-for-bit": "some state is in no persistent buffer",
    "evaluator:scores-are-scores": "is inf",
    "evaluator:same-generator-same-scores": "draw from the generator it is given",
    "evaluator:leaves-its-input-alone": "It changes 'embedding.z' in place",
    "evaluator:refuses-what-is-not-finite": "gets ordinary scores",
    "similarity:gives-a-number-a-pair": "must give finite numbers of that type",
    "similarity:blocks-agree": "In blocks it gives other numbers",
}
"""The component (and the check that finds it) and what is said of it."""

ALSO: Mapping[str, set[str]] = {
    # A class that can't be made has no example.
    "objective:loads": {"has-an-example"},
    # What is drawn in evaluation differs with every call.
    "view:nothing-random-in-evaluation": {"order-of-items"},
    "encoder:nothing-random-in-evaluation": {"rows-are-independent", "half-precision"},
    # What nobody seeds differs wherever a number is computed twice.
    "view:same-seed-same-views": {"continues-bit-for-bit"},
    "encoder:same-seed-same-rows": {"continues-bit-for-bit"},
    "sampler:same-seed-same-pairs": {"continues-bit-for-bit", "processes-agree", "relations-agree-in-tiles"},
    "objective:same-seed-same-value": {"continues-bit-for-bit", "processes-agree", "tiles-agree", "precision",
                                       "gradient-cache-agrees"},
    "step:same-seed-same-training": {"continues-bit-for-bit"},
    # Gathered rows have a history too.
    "objective:gradient-cache-agrees": {"processes-agree"},
    # A store that can't choose can't be looked at further.
    "rehearsal:keeps-what-it-is-offered": {"every-bit-is-in-buffers", "draws-nothing-globally"},
    # State that is not saved is missed after loading, whoever loads.
    "memory:continues-bit-for-bit": {"every-bit-is-in-buffers"},
}  # fmt: skip

MAY_SKIP = {"order-of-rows": "it draws at random", "numbers-that-make-no-sense": "it takes no number"}


@pytest.fixture(scope="module")
def report(installed: Callable[..., None]) -> Report:
    """All checks of the plugin, once."""
    installed("broken")
    return check("contrast-broken")


def _of(report: Report, component: str) -> list[Result]:
    kind, _, name = component.partition(":")
    return [result for result in report.results if str(result.subject) == f"{kind}:broken/{name}"]


@pytest.mark.parametrize("component", SAYS)
def test_a_broken_promise_is_found_by_its_check_and_no_other(report: Report, component: str) -> None:
    """The check fails with its sentence; other checks pass, but those that must see the same mistake."""
    broken = component.partition(":")[2]
    failed = {result.check: result.reason for result in _of(report, component) if result.outcome == "failed"}
    assert SAYS[component] in failed.get(broken, "it passed")
    assert {name: why for name, why in failed.items() if name not in {broken} | ALSO.get(component, set())} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_honest_components_pass_every_check(report: Report, kind: str) -> None:
    """No false alarm, and nothing is passed over but for a reason that is named here."""
    found = _of(report, f"{kind}:honest")
    assert {r.check for r in found} == {"has-an-example", *(each.name for each in checks_of(kind))}
    assert {r.check: r.reason for r in found if r.outcome == "failed"} == {}
    assert all(MAY_SKIP.get(r.check, "nothing") in r.reason for r in found if r.outcome == "skipped")


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_of_a_kind_has_a_component_that_breaks_it(kind: str) -> None:
    """A check that nothing can fail would be noticed."""
    own = {each.name for each in checks_of(kind)} - FOR_ALL
    assert own <= {name.partition(":")[2] for name in SAYS if name.startswith(f"{kind}:")}
    assert {f"objective:{name}" for name in FOR_ALL} <= SAYS.keys()


def test_the_plugin_and_its_recipe_pass(report: Report) -> None:
    """Manifest, imports and recipe of the broken components are in order."""
    rest = {
        (str(r.subject), r.check): r.outcome for r in report.results if not r.example and "broken" in r.subject.name
    }
    assert rest["contrast-broken", "lazy-manifest"] == "passed"
    assert rest["contrast-broken", "importing-changes-nothing"] == "passed"
    assert rest["recipe:broken/honest", "composes"] == "passed"


def test_a_heavy_manifest_a_seeding_module_and_a_misnamed_recipe_are_found(installed: Callable[..., None]) -> None:
    """The checks of a plugin as a whole and of its recipes can fail too."""
    installed("heavy")
    failed = {r.check: r.reason for r in check("contrast-heavy").results if r.outcome == "failed"}
    assert failed.keys() == {"lazy-manifest", "importing-changes-nothing", "composes"}
    assert "imports numpy" in failed["lazy-manifest"]
    assert "changes torch's random generator" in failed["importing-changes-nothing"]
    assert "registered as 'heavy/one' but calls itself 'heavy/two'" in failed["composes"]
