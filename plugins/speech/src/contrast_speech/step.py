"""Training by task: the optimiser begins anew with each one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, final

from contrast_core.interfaces import Flow, Step, Term
from contrast_speech.snapshots import TaskSnapshots

if TYPE_CHECKING:
    from contrast_core.training.context import Context


@final
class ByTask(Step):
    """The ordinary step, before which the optimiser forgets its moments whenever a task begins.

    theta <- theta - rate * gradient of sum_k weight_k term_k. Which task was the last one is read from the encoder's
    snapshots, which a checkpoint holds. A schedule of the learning rate goes on over all tasks.

    Raises:
        ValueError: if the encoder is not `speech/task-snapshots`.

    Paper: COCONUT, arXiv 2310.02699: a new optimiser for each task.
    """

    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Train on one batch."""
        encoder = context.pipeline.encoder
        if not isinstance(encoder, TaskSnapshots):
            raise ValueError(f"speech/by-task needs the encoder speech/task-snapshots, not {type(encoder).__name__}.")
        if int(batch["task"]) > int(encoder.task):
            context.optimizer.state.clear()
        outputs = context.outputs(batch)
        terms = context.terms(outputs)
        context.backward(terms)
        context.update(outputs)
        return terms
