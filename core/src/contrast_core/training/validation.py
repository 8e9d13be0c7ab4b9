"""A score on validation items while training: what early stopping looks at, and which weights are kept."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, final

import torch

from contrast_core.compose import Composition
from contrast_core.errors import ContrastError, did_you_mean
from contrast_core.figures import Figure
from contrast_core.interfaces import Data, Score, Split
from contrast_core.training.embedding import evaluated_tables


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
        self.evaluator, _, self.wanted = (composition.training.validate or "").partition("/")
        self.where = composition.recipe.source.where("training.validate")
        if self.evaluator not in composition.evaluators:
            have = ", ".join(composition.evaluators) or "none"
            raise ContrastError(
                f"{self.where}: validate = '{composition.training.validate}' must begin with one of the recipe's "
                f"[evaluation.NAME], of which there are: {have}.{did_you_mean(self.evaluator, composition.evaluators)}"
            )
        if not self.wanted.partition("/")[0]:
            raise ContrastError(
                f"{self.where}: validate = '{composition.training.validate}' must name a metric too, as in "
                f"'{self.evaluator}/METRIC'."
            )

    def __call__(self) -> float:
        """The score now; nothing of the pipeline or of random generators changes."""
        composition, evaluator = self.composition, self.composition.evaluators[self.evaluator]
        tables = evaluated_tables(composition, {name.partition(".")[0] for name in evaluator.needs})
        generator = torch.Generator().manual_seed(composition.training.seed)
        try:
            found = evaluator.evaluate(tables, on_validation_items(composition.data), generator)
        except ValueError as error:
            raise ContrastError(f"{self.where}: [evaluation.{self.evaluator}] {error}") from error
        return picked(found, self.evaluator, self.wanted, self.where).mean


def picked(found: Sequence[Score | Figure], evaluator: str, wanted: str, where: str) -> Score:
    """The score that "METRIC" or "METRIC/SPLIT" names, or the first one if nothing is named.

    Raises:
        ContrastError: if the evaluator gave no such score; `where` is where it was asked for.
    """
    metric, _, split = wanted.partition("/")
    scores = [one for one in found if isinstance(one, Score)]
    for score in scores:
        if metric in ("", score.metric) and split in ("", score.split):
            return score
    have = ", ".join(f"{score.metric}/{score.split}" if score.split else score.metric for score in scores) or "none"
    hint = did_you_mean(metric, {score.metric for score in scores} - {metric})
    raise ContrastError(
        f"{where}: [evaluation.{evaluator}] gives no score '{metric}{'/' if split else ''}{split}', only {have}.{hint}"
    )


def seen_as(data: Data, **properties: Any) -> Data:
    """The same data set with other values of some properties; it is still of its own class."""
    kind: Any = type(data)
    shown = copy(data)
    # Evaluators may ask for the class, and may read more of the data than its splits.
    shown.__class__ = type(kind.__name__, (kind,), properties)
    return shown


def on_validation_items(data: Data) -> Data:
    """The same data set, whose splits have the validation items as test items; it is still of its own class."""
    splits = {name: Split(split.train, split.val, split.val) for name, split in data.splits.items()}
    return seen_as(data, splits=splits)
