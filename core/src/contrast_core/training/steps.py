"""The ordinary training step; unusual methods bring their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from contrast_core.interfaces import Flow, Step, Term
from contrast_core.training.context import Context


@final
class Ordinary(Step):
    """Outputs, terms, backward, update: one step on the sum of all terms.

    theta <- theta - rate * gradient of sum_k weight_k term_k, by the recipe's optimiser; then momentum updates and the
    memories that are written after a step. This is the step of a recipe that names none.
    """

    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Train on one batch."""
        outputs = context.outputs(batch)
        terms = context.terms(outputs)
        context.backward(terms)
        context.update(outputs)
        return terms
