"""A recipe's training one batch at a time, for loops that are not ours: RecBole's, Lightning's, one's own.

stepper = Stepper("core/digits", first=batch)
for batch in loader:
    terms = stepper.step(batch)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from contrast_core.compose import compose
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Flow, Term
from contrast_core.registry import Registry, discover
from contrast_core.runs import find_recipe
from contrast_core.settings import as_settings
from contrast_core.training.checkpoint import own_randomness, seed_everything
from contrast_core.training.context import Context
from contrast_core.training.optimiser import Schedule, optimiser_for
from contrast_core.training.runtime import runtime_for


@final
class Stepper:
    """The pipeline, optimiser, schedule and step of a recipe; whoever holds it brings the batches.

    Its data are not loaded: batches have the names that its data component gives. Weights are drawn with the recipe's
    seed, as in a run of ours; what is drawn while stepping comes from torch's global generators. Saving, evaluating and
    several processes are the business of the loop.

    Args:
        recipe: a registered name or the path of a TOML file, without stages.
        first: a batch from which the parts learn sizes.
        set: settings stronger than the recipe, as for `contrast_core.run`.
        steps: how many steps there will be; needed for a schedule that depends on it.
        registry: plugins to use; by default the installed ones.

    Raises:
        ContrastError: whatever is wrong with the recipe, in one sentence, as in a run.
    """

    def __init__(
        self,
        recipe: str | Path,
        first: Flow,
        *,
        set: Mapping[str, Any] | Sequence[str] = (),
        steps: int | None = None,
        registry: Registry | None = None,
    ):
        registry = registry or discover()
        stages = find_recipe(str(recipe), registry, as_settings(set)).stages()
        if len(stages) > 1:
            raise ContrastError(f"{recipe} has {len(stages)} stages; a loop that is not ours takes recipes without.")
        ((_, resolved),) = stages
        if resolved.single("tasks") is not None:
            raise ContrastError(
                f"{recipe} trains a sequence of tasks, and only a run knows where one ends; a loop that is not ours "
                "takes recipes without [tasks]."
            )
        training = resolved.training
        if training.schedule != "constant" and steps is None:
            raise ContrastError(
                f"[training] schedule = '{training.schedule}' depends on the number of steps, which nobody gave."
            )
        with own_randomness():
            seed_everything(training.seed)
            composition = compose(resolved, registry)
            self.pipeline, self.training = composition.pipeline, training
            self.pipeline.prepare(first)
        self._step, self.runtime = composition.step, runtime_for(training)
        self.optimizer = self.runtime.prepare(self.pipeline, optimiser_for(self.pipeline, training))
        self._schedule = Schedule(self.optimizer, training, steps or 0)
        self._context = Context(self.pipeline, self.optimizer, self._schedule, self.runtime, training.clip_norm)
        self.done = 0
        """Steps so far."""

    def step(self, batch: Flow) -> Mapping[str, Term]:
        """Train on one batch; the loss is the sum of weight times value of the terms.

        Raises:
            ContrastError: as in a run, for a term that is not finite.
        """
        self.pipeline.train()
        self._schedule.set(self.done)
        terms = self._step.run(self._context, self.runtime.move(batch))
        self.done += 1
        return terms
