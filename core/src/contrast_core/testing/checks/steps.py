"""Steps: they train, and the same seed trains the same."""

from __future__ import annotations

import torch

from contrast_core.testing.bench import Bench
from contrast_core.testing.checks import at_work
from contrast_core.testing.checks.state import same, trained, trainer
from contrast_core.testing.outcome import Violation
from contrast_core.training.checkpoint import seed_everything


@at_work
def learns(bench: Bench) -> None:
    """It gives finite terms to log and changes parameters."""
    composition, _ = bench.composition()
    before = {name: p.detach().clone() for name, p in composition.pipeline.named_parameters()}
    terms = trained(bench, composition, trainer(composition), range(2))
    if not terms[0] or not all(bool(value.isfinite()) for each in terms for value in each.values()):
        raise Violation("It must return the terms it trained on, finite ones.")
    after = dict(composition.pipeline.named_parameters())
    if all(torch.equal(value, after[name]) for name, value in before.items()):
        raise Violation("After two steps no parameter has changed.")


@at_work
def same_seed_same_training(bench: Bench) -> None:
    """From the same seed it trains to the same bits."""
    states = []
    for _ in range(2):
        composition, _ = bench.composition()
        context = trainer(composition)
        seed_everything(2)
        trained(bench, composition, context, range(2))
        states.append(composition.pipeline.state_dict())
    same(states[0], states[1], "two trainings from one seed")


CHECKS = (learns, same_seed_same_training)
