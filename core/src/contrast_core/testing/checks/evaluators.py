"""Evaluators: finite scores, the same twice, and no score for an embedding that is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.figures import Figure
from contrast_core.interfaces import Score
from contrast_core.testing.bench import Bench, left_alone
from contrast_core.testing.checks import at_work
from contrast_core.testing.outcome import Violation
from contrast_core.training.embedding import evaluated_tables
from contrast_core.training.legs import tasks_of


def _at_work(bench: Bench) -> tuple[Any, Mapping[str, Embeddings], Any]:
    composition, part = bench.composition()
    names = {name.partition(".")[0] for name in part.needs}
    store, tasks = composition.pipeline.rehearsal, tasks_of(composition)
    if store is not None:
        # As after the last task, whatever a store would choose.
        store.items = torch.cat([task.items[:4] for task in tasks])
    return part, evaluated_tables(composition, names), composition.data


def _scores(part: Any, tables: Mapping[str, Embeddings], data: Any) -> list[Score]:
    found = part.evaluate(tables, data, torch.Generator().manual_seed(4))
    return [one for one in found if not isinstance(one, Figure)]


@at_work
def scores_are_scores(bench: Bench) -> None:
    """It gives finite Scores, each metric and split once."""
    part, tables, data = _at_work(bench)
    scores = _scores(part, tables, data)
    if not scores or not all(isinstance(score, Score) for score in scores):
        raise Violation("It must give at least one Score.")
    if len({(score.metric, score.split) for score in scores}) < len(scores):
        raise Violation("It gives a metric of one split twice.")
    for score in scores:
        if not math.isfinite(score.mean) or (score.deviation is not None and not score.deviation >= 0):
            raise Violation(f"The score '{score.metric}' is {score.mean} with deviation {score.deviation}.")


@at_work
def same_generator_same_scores(bench: Bench) -> None:
    """With a generator in the same state it gives the same scores, whatever the global generators hold."""
    part, tables, data = _at_work(bench)
    torch.manual_seed(1)
    one = _scores(part, tables, data)
    torch.manual_seed(2)
    two = _scores(part, tables, data)
    if [(s.metric, s.split, repr(s.mean)) for s in one] != [(s.metric, s.split, repr(s.mean)) for s in two]:
        raise Violation("Twice with the same generator it gives two results; draw from the generator it is given.")


@at_work
def leaves_its_input_alone(bench: Bench) -> None:
    """It changes neither rows nor columns."""
    part, tables, data = _at_work(bench)
    with left_alone(tables):
        _scores(part, tables, data)


@at_work
def refuses_what_is_not_finite(bench: Bench) -> None:
    """An embedding of NaN gets a sentence, never an ordinary score."""
    part, tables, data = _at_work(bench)
    z = tables["embedding"].z
    broken = {**tables, "embedding": tables["embedding"].with_fields(z=torch.full_like(z, float("nan")))}
    try:
        scores = _scores(part, broken, data)
    except (ValueError, ContrastError):
        return
    except Exception as error:
        raise Violation(f"An embedding of NaN ends in {type(error).__name__}: {error}") from error
    if all(math.isfinite(score.mean) for score in scores):
        raise Violation("An embedding of NaN gets ordinary scores; raise ValueError with a sentence.")


CHECKS = (scores_are_scores, same_generator_same_scores, leaves_its_input_alone, refuses_what_is_not_finite)
