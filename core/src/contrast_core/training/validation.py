"""A score on validation items while training: what early stopping looks at, and which weights are kept."""

from __future__ import annotations

from copy import copy
from typing import Any, final

import torch

from contrast_core.compose import Composition
from contrast_core.errors import ContrastError, did_you_mean
from contrast_core.interfaces import Data, Score, Split
from contrast_core.training.embedding import embed_tables


@final
class Validation:
    """One score of one of the recipe's evaluators, with the validation items of every split in place of the test items.

    Args:
        composition: whose plan says `validate = "EVALUATOR/METRIC"`, or with the split's name behind it if the
            evaluator gives the metric several times; otherwise its first line counts.

    Raises:
        ContrastError: if no metric is named or there is no such evaluator; when called, if it gives no such metric, or
            refuses.
    """

    def __init__(self, composition: Composition):
        self.composition = composition
        self.evaluator, _, wanted = (composition.training.validate or "").partition("/")
        self.metric, _, self.split = wanted.partition("/")
        self.where = composition.recipe.source.where("training.validate")
        if self.evaluator not in composition.evaluators:
            have = ", ".join(composition.evaluators) or "none"
            raise ContrastError(
                f"{self.where}: validate = '{composition.training.validate}' must begin with one of the recipe's "
                f"[evaluation.NAME], of which there are: {have}.{did_you_mean(self.evaluator, composition.evaluators)}"
            )
        if not self.metric:
            raise ContrastError(
                f"{self.where}: validate = '{composition.training.validate}' must name a metric too, as in "
                f"'{self.evaluator}/METRIC'."
            )

    def __call__(self) -> float:
        """The score now; nothing of the pipeline or of random generators changes."""
        composition, evaluator = self.composition, self.composition.evaluators[self.evaluator]
        needs = {name.partition(".")[0] for name in evaluator.needs}
        tables = embed_tables(composition.pipeline, composition.data, composition.training.batch_size, needs)
        generator = torch.Generator().manual_seed(composition.training.seed)
        try:
            found = evaluator.evaluate(tables, on_validation_items(composition.data), generator)
        except ValueError as error:
            raise ContrastError(f"{self.where}: [evaluation.{self.evaluator}] {error}") from error
        scores = [one for one in found if isinstance(one, Score)]
        for score in scores:
            if score.metric == self.metric and self.split in ("", score.split):
                return score.mean
        have = ", ".join(f"{score.metric}/{score.split}" if score.split else score.metric for score in scores)
        hint = did_you_mean(self.metric, {score.metric for score in scores} - {self.metric})
        raise ContrastError(
            f"{self.where}: [evaluation.{self.evaluator}] gives no score '{self.metric}"
            f"{'/' if self.split else ''}{self.split}', only {have}.{hint}"
        )


def on_validation_items(data: Data) -> Data:
    """The same data set, whose splits have the validation items as test items; it is still of its own class."""
    kind: Any = type(data)
    splits = {name: Split(split.train, split.val, split.val) for name, split in data.splits.items()}
    shown = copy(data)
    # Evaluators may ask for the class, and may read more of the data than its splits.
    shown.__class__ = type(kind.__name__, (kind,), {"splits": splits})
    return shown
