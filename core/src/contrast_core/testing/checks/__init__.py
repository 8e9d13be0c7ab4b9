"""The checks: what every user of a component may rely on, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from contrast_core.spec import Component
from contrast_core.testing.bench import Bench


@frozen(eq=False)
class Check:
    """One check.

    Args:
        name: what is kept, in a few words: "order-of-rows".
        run: called with a component (static checks) or a bench; it returns if all is well, raises Violation with a
            sentence if not, and Skip with a reason if it does not apply.
        static: whether it needs no example.
    """

    name: str
    run: Callable[[Any], None]
    static: bool = False

    @property
    def about(self) -> str:
        """What it checks, in a line."""
        return (self.run.__doc__ or "").strip().splitlines()[0]


def of_source(run: Callable[[Component], None]) -> Check:
    """A check that needs no example, named like its function."""
    return Check(run.__name__.replace("_", "-"), run, static=True)


def at_work(run: Callable[[Bench], None]) -> Check:
    """A check of a component in an example, named like its function."""
    return Check(run.__name__.replace("_", "-"), run)


def checks_of(kind: str) -> Sequence[Check]:
    """The checks of a kind of component, in the order in which they are run."""
    from contrast_core.testing.checks import (
        data,
        encoders,
        evaluators,
        everyone,
        memories,
        numbers,
        objectives,
        samplers,
        similarities,
        state,
        steps,
        stores,
        tasks,
        views,
    )

    training: Sequence[Check] = (state.continues_bit_for_bit,)
    own: Mapping[str, Sequence[Check]] = {
        "data": data.CHECKS,
        "tasks": tasks.CHECKS,
        "rehearsal": stores.CHECKS,
        "view": (*views.CHECKS, *training),
        "encoder": (*encoders.CHECKS, *training),
        "memory": (*memories.CHECKS, *training),
        "sampler": (*samplers.CHECKS, *training),
        "objective": (*objectives.CHECKS, *training),
        "step": (*steps.CHECKS, *training),
        "evaluator": evaluators.CHECKS,
        "similarity": similarities.CHECKS,
    }
    return (*everyone.CHECKS, *own[kind], numbers.numbers_that_make_no_sense)
