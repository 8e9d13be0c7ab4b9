"""State: training goes on bit for bit from what was saved."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor

from contrast_core.compose import Composition
from contrast_core.testing.bench import Bench, equal
from contrast_core.testing.checks import at_work
from contrast_core.testing.outcome import Violation
from contrast_core.training.checkpoint import random_state, seed_everything, set_random_state
from contrast_core.training.context import Context
from contrast_core.training.optimiser import Schedule, optimiser_for
from contrast_core.training.runtime import Runtime

STEPS = 5


def trainer(composition: Composition) -> Context:
    """What a step trains with, on the CPU."""
    composition.pipeline.train()
    training = composition.training
    optimizer = optimiser_for(composition.pipeline, training)
    schedule = Schedule(optimizer, training, STEPS)
    return Context(composition.pipeline, optimizer, schedule, Runtime(), training.clip_norm)


def trained(bench: Bench, composition: Composition, context: Context, numbers: range) -> list[dict[str, Tensor]]:
    """The terms of some steps."""
    found = []
    for number in numbers:
        context.schedule.set(number)
        terms = composition.step.run(context, bench.batch(number))
        found.append({name: term.value.detach().clone() for name, term in terms.items()})
    return found


@at_work
def continues_bit_for_bit(bench: Bench) -> None:
    """Saved after two steps and loaded into a fresh pipeline, the third and fourth are the same to the last bit."""
    first, _ = bench.composition()
    context = trainer(first)
    seed_everything(1)
    trained(bench, first, context, range(2))
    file = io.BytesIO()
    state = {"pipeline": first.pipeline.state_dict(), "optimizer": context.optimizer.state_dict()}
    torch.save({**state, "random": random_state()}, file)
    expected = trained(bench, first, context, range(2, 4))
    second, _ = bench.composition()
    again = trainer(second)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    try:
        second.pipeline.load_state_dict(loaded["pipeline"])
    except RuntimeError as error:
        raise Violation(f"A fresh pipeline can't load the saved state: {' '.join(str(error).split())[:300]}") from error
    again.optimizer.load_state_dict(loaded["optimizer"])
    set_random_state(loaded["random"])
    found = trained(bench, second, again, range(2, 4))
    for number, (one, two) in enumerate(zip(expected, found, strict=True), 3):
        same(one, two, f"step {number}'s terms")
    same(first.pipeline.state_dict(), second.pipeline.state_dict(), "the state after four steps")


def same(one: dict[str, Tensor], two: dict[str, Tensor], what: str) -> None:
    """Raise Violation unless two states are equal to the last bit."""
    if one.keys() != two.keys():
        raise Violation(f"After loading, {what} have other names: {sorted(one.keys() ^ two.keys())[:5]}.")
    for name, tensor in one.items():
        if not equal(tensor, two[name]):
            raise Violation(
                f"After saving, loading and going on, {what} differ in '{name}': some state is in no persistent buffer."
            )
