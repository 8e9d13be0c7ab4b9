"""The ordinary step."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import final

import torch

from contrast_core.interfaces import Flow, Step, Term
from contrast_core.training.context import Context


def train(context: Context, batch: Flow) -> Mapping[str, Term]:
    """One ordinary step."""
    outputs = context.outputs(batch)
    terms = context.terms(outputs)
    context.backward(terms)
    context.update(outputs)
    return terms


@torch.no_grad()
def shrink(context: Context, factor: float) -> None:
    """All parameters times a number."""
    for parameter in context.pipeline.parameters():
        parameter.mul_(factor)


@final
class Honest(Step):
    """Keeps every promise."""

    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Train."""
        return train(context, batch)


@final
class Learns(Step):
    """Forgets to update."""

    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Compute gradients alone."""
        terms = context.terms(context.outputs(batch))
        context.backward(terms)
        return terms


@final
class SameSeedSameTraining(Step):
    """Has a source of randomness that nobody seeds."""

    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Train and shrink at random."""
        shrink(context, 1 - 0.1 * random.SystemRandom().random())
        return train(context, batch)


@final
class ContinuesBitForBit(Step):
    """Counts steps in an attribute that nothing saves."""

    steps = 0

    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Train and shrink less and less."""
        self.steps += 1
        shrink(context, 1 - 0.5**self.steps / 10)
        return train(context, batch)
