"""Tasks: numbers of items that the data have, and the same ones whenever they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from contrast_core.tasks import Task
from contrast_core.testing.bench import Bench, generators_kept
from contrast_core.testing.checks import at_work
from contrast_core.testing.outcome import Violation
from contrast_core.training.loader import training_items


def _made(bench: Bench) -> Sequence[Task]:
    _, part = bench.composition()
    try:
        tasks: Sequence[Task] = part.of(bench.data())
    except ValueError as error:
        raise Violation(f"It makes no tasks of its example's data: {error}") from error
    return tasks


@at_work
def tasks_are_of_the_data(bench: Bench) -> None:
    """Each task has training items of the data, int64, none twice, and members among all items."""
    data, tasks = bench.data(), _made(bench)
    for number, task in enumerate(tasks, 1):
        for title, items, among in (
            ("items", task.items, training_items(data)), ("members", task.members, torch.arange(len(data)))
        ):  # fmt: skip
            if items.dtype != torch.int64 or len(items.unique()) < len(items) or not len(items):
                raise Violation(f"The {title} of task {number} must be numbers, int64, at least one and none twice.")
            if not bool(torch.isin(items, among).all()):
                raise Violation(f"Some {title} of task {number} are no items of the data that may be used there.")


@at_work
def same_tasks_again(bench: Bench) -> None:
    """Asked again, also when made anew, it gives the same tasks, and it draws nothing from global generators."""
    torch.manual_seed(1)
    with generators_kept("Making tasks"):
        one = _made(bench)
    torch.manual_seed(2)
    two = _made(bench)
    alike = [torch.equal(a.items, b.items) and torch.equal(a.members, b.members) for a, b in zip(one, two, strict=True)]
    if not all(alike):
        raise Violation("Asked twice it makes other tasks: a run that goes on would train on other items.")


CHECKS = (tasks_are_of_the_data, same_tasks_again)
