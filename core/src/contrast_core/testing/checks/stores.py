"""Rehearsal stores: they choose among what they are offered, draw nothing globally, and all of their state is saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Data
from contrast_core.tasks import Task
from contrast_core.testing.bench import Bench, generators_kept, left_alone
from contrast_core.testing.checks import at_work
from contrast_core.testing.outcome import Violation
from contrast_core.training.borders import offered
from contrast_core.training.legs import begin_rehearsal, tasks_of

WIDTH = 6
"""Of the embedding that is offered, drawn at random."""


def _at_work(bench: Bench) -> tuple[Any, Sequence[Task], Data]:
    """A store that nothing was offered yet, and the tasks."""
    composition, part = bench.composition()
    tasks = tasks_of(composition)
    begin_rehearsal(composition, tasks)
    return part, tasks, composition.data


def _rows(store: Any, task: Task, data: Data) -> Embeddings:
    z = torch.randn(len(data), WIDTH, generator=torch.Generator().manual_seed(5))
    return offered(store, task, data, lambda items: Embeddings.of(z[items], sample=items))


@at_work
def keeps_what_it_is_offered(bench: Bench) -> None:
    """After each task it holds distinct items of those that it was offered, at most as many as it said."""
    store, tasks, data = _at_work(bench)
    for task in tasks:
        rows = _rows(store, task, data)
        try:
            store.take(rows)
        except ValueError as error:
            raise Violation(f"Of the items it was offered it can't choose: {error}") from error


@at_work
def every_bit_is_in_buffers(bench: Bench) -> None:
    """Its state dict, loaded into a fresh one between two tasks, makes that one choose alike."""
    store, tasks, data = _at_work(bench)
    fresh, _, _ = _at_work(bench)
    for task in tasks[:2]:
        store.take(_rows(store, task, data))
    fresh.load_state_dict(store.state_dict())
    for each in (store, fresh):
        each.take(_rows(each, tasks[-1], data))
    if not torch.equal(store.kept(), fresh.kept()):
        raise Violation("Loaded between two tasks, its state makes another choice: some of it is in no buffer.")


@at_work
def draws_nothing_globally(bench: Bench) -> None:
    """Choosing draws from generators of its own and changes nothing that it is shown."""
    store, tasks, data = _at_work(bench)
    for task in tasks:
        rows = _rows(store, task, data)
        with generators_kept("Choosing"), left_alone({"rows": rows}):
            store.take(rows)


CHECKS = (keeps_what_it_is_offered, every_bit_is_in_buffers, draws_nothing_globally)
