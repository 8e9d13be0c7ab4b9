"""One plugin under test: its examples, what they share, and all checks of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, final

from attrs import frozen

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data
from contrast_core.registry import Plugin, Registry
from contrast_core.spec import Component
from contrast_core.testing.bench import Bench
from contrast_core.testing.examples import (
    Declarations,
    Example,
    check_names,
    declarations,
    examples_of,
    folder_of,
    in_recipes,
)
from contrast_core.testing.outcome import Result, Skip, Subject, Violation
from contrast_core.training.checkpoint import own_randomness

NO_EXAMPLE = "has-an-example"


@frozen(eq=False)
class Task:
    """One check of one subject, to be run; one that is needed is run whatever is asked for."""

    subject: Subject
    check: str
    run: Any
    example: str = ""
    needed: bool = False


@final
class Session:
    """The checks of one plugin.

    Args:
        plugin: which; it has a manifest.
        registry: all that is installed.
        only: names of checks to run; empty means all.
        components: names of components (or kind:name) to check; empty means all.
    """

    def __init__(self, plugin: Plugin, registry: Registry, only: Sequence[str] = (), components: Sequence[str] = ()):
        self.plugin, self.registry = plugin, registry
        self.only, self.components = tuple(only), tuple(components)
        self.loaded: dict[str, Data] = {}
        self.unusable: dict[str, str] = {}
        self._bench: Bench | None = None
        self._examples: dict[Component, list[Example] | str] = {}

    @cached_property
    def declared(self) -> Declarations:
        """What the plugin's checks.toml says."""
        manifest = self.plugin.manifest
        assert manifest is not None
        first = next(iter(manifest.components), None)
        folder = folder_of(first) if first is not None else None
        declared = Declarations() if folder is None else declarations(folder)
        check_names(declared, self.plugin)
        return declared

    @cached_property
    def in_recipes(self) -> Mapping[Component, Example]:
        """The first recipe of the plugin that uses a component."""
        return in_recipes(self.plugin, self.registry, self.unusable)

    def known(self) -> list[str]:
        """All components of the plugin."""
        manifest = self.plugin.manifest
        assert manifest is not None
        return [str(Subject.of(component)) for component in manifest.components]

    def selected(self) -> Sequence[Component]:
        """The components to check."""
        manifest = self.plugin.manifest
        assert manifest is not None
        wanted = set(self.components)
        return [each for each in manifest.components if not wanted or {each.name, str(Subject.of(each))} & wanted]

    def examples(self, component: Component) -> list[Example] | str:
        """Examples of a component, or why there is none."""
        if component not in self._examples:
            with own_randomness():
                self._examples[component] = examples_of(component, self)
        return self._examples[component]

    def bench(self, example: Example) -> Bench:
        """What builds an example's surroundings; the latest one is kept, for the next check."""
        if self._bench is None or self._bench.example is not example:
            self._bench = Bench(example, self)
        return self._bench

    @cached_property
    def apart(self) -> Mapping[str, str]:
        """What two processes say of the examples, by their keys; "" if they agree with one."""
        from contrast_core.testing.two_processes import compare

        return compare(self.plugin.name, [str(Subject.of(component)) for component in self.selected()])

    def tasks(self) -> Iterator[Task]:
        """Every check, in order."""
        from contrast_core.testing.checks import checks_of
        from contrast_core.testing.plugins import PLUGIN, RECIPE

        manifest = self.plugin.manifest
        assert manifest is not None
        if not self.components:
            for check in PLUGIN:
                yield Task(Subject("", self.plugin.label), check.name, lambda check=check: check.run(self.plugin))
            for recipe in manifest.recipes:
                for check in RECIPE:
                    subject = Subject("recipe", recipe.name)
                    yield Task(subject, check.name, lambda c=check, r=recipe: c.run((r, self.registry)))
        for component in self.selected():
            subject = Subject.of(component)
            found = self.examples(component)
            why = found if isinstance(found, str) else ""
            yield Task(subject, NO_EXAMPLE, lambda why=why: _complain(why), needed=bool(why))
            for check in checks_of(component.kind):
                if check.static:
                    yield Task(subject, check.name, lambda c=check, it=component: c.run(it))
                elif isinstance(found, str):
                    yield Task(subject, check.name, lambda: _pass_over("it has no example."))
                else:
                    for example in found:
                        run = lambda c=check, e=example: c.run(self.bench(e))  # noqa: E731
                        yield Task(subject, check.name, run, example.origin)

    def results(self) -> Iterator[Result]:
        """Run the checks, one after the other."""
        for task in self.tasks():
            if self.wanted(task):
                yield self.result(task)

    def wanted(self, task: Task) -> bool:
        """Whether a check is asked for; that a component has no example is always told."""
        return not self.only or task.check in self.only or task.needed

    def result(self, task: Task) -> Result:
        """Run one check; what it leaves of random generators and threads is put back."""
        began = time.perf_counter()
        reason = ""
        outcome = "passed"
        try:
            with own_randomness():
                task.run()
        except Skip as why:
            outcome, reason = "skipped", str(why)
        except Violation as violation:
            outcome, reason = "failed", str(violation)
        except (ContrastError, ValueError) as error:
            outcome, reason = "failed", str(error)
        except Exception as error:
            outcome, reason = "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        expected = self.declared.reason(str(task.subject), task.check)
        if expected:
            outcome = {"failed": "expected failure", "passed": "unexpected pass"}.get(outcome, outcome)
            reason = f"{expected} ({reason})" if reason else f"checks.toml says that it fails: {expected}"
        seconds = time.perf_counter() - began
        return Result(task.subject, task.check, outcome, reason, task.example, seconds)  # type: ignore[arg-type]


def _pass_over(why: str) -> None:
    raise Skip(why)


def _complain(why: str) -> None:
    if why:
        raise Violation(why)
