"""What happens where a task ends: the store chooses, the model is measured on every task so far, copies are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from contrast_core.compose import Composition
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data, Split
from contrast_core.tasks import Rehearsal, Task
from contrast_core.training.checkpoint import own_randomness
from contrast_core.training.embedding import embed_all, evaluated_tables
from contrast_core.training.processes import Alone
from contrast_core.training.validation import picked, seen_as

Measured = list[dict[str, Any]]
"""Scores after one task: evaluator, metric, split, `on` (the number of a task, or -1 for all seen so far) and mean."""


def end_task(composition: Composition, tasks: Sequence[Task], number: int, processes: Alone) -> Measured:
    """End task `number` (from 0): nothing but the store, copies of the model and what parts do then changes.

    Raises:
        ContrastError: if the store or an evaluator refuses; the sentence names its section.
    """
    with own_randomness():
        _fill(composition, tasks[number], processes)
        measured = processes.agree(_measure(composition, tasks[: number + 1]))
        composition.pipeline.after_task()
    return measured


def _fill(composition: Composition, task: Task, processes: Alone) -> None:
    store, data = composition.pipeline.rehearsal, composition.data
    if store is None or not len(store.items):
        return
    size = composition.training.batch_size
    try:
        store.take(offered(store, task, data, lambda items: embed_all(composition.pipeline, data, size, items)))
    except ValueError as error:
        raise ContrastError(f"{composition.recipe.source.where('rehearsal')}: [rehearsal] {error}") from error
    # Sums differ in their last bits between processes, and so might a choice.
    for buffer in store.buffers():
        buffer.copy_(processes.agree(buffer.cpu()))


def offered(store: Rehearsal, task: Task, data: Data, embed: Callable[[Tensor], Embeddings]) -> Embeddings:
    """What a store chooses from when a task ends: what it keeps, then the task's other items, as they are embedded."""
    kept = store.kept()
    items = torch.cat([kept, task.items[~torch.isin(task.items, kept)]])
    known = torch.full_like(items, -1) if data.labels is None else data.labels[items]
    return embed(items).with_columns(label=known, kept=(torch.arange(len(items)) < len(kept)).long())


def _measure(composition: Composition, tasks: Sequence[Task]) -> Measured:
    evaluators = composition.evaluators
    assert composition.tasks is not None
    wanted = composition.tasks.measure or tuple(evaluators)
    needs = {name.partition(".")[0] for each in wanted for name in evaluators[each.partition("/")[0]].needs}
    if not wanted:
        return []
    tables = evaluated_tables(composition, needs)
    seen = torch.cat([task.members for task in tasks]).unique()
    measured: Measured = []
    with threadpool_limits(torch.get_num_threads()):
        for on, tested in [*((number, task.members) for number, task in enumerate(tasks)), (-1, seen)]:
            data = among(composition.data, seen, tested)
            measured += [{**_score(composition, each, tables, data), "on": on} for each in wanted]
    return measured


def _score(composition: Composition, wanted: str, tables: Mapping[str, Embeddings], data: Data) -> dict[str, Any]:
    name, _, metric = wanted.partition("/")
    where = composition.recipe.source.where("tasks.measure")
    generator = torch.Generator().manual_seed(composition.training.seed)
    try:
        found = composition.evaluators[name].evaluate(tables, data, generator)
    except ValueError as error:
        raise ContrastError(f"{where}: [evaluation.{name}] {error}") from error
    score = picked(found, name, metric, where)
    return {"evaluator": name, "metric": score.metric, "split": score.split, "mean": score.mean}


def among(data: Data, seen: Tensor, tested: Tensor) -> Data:
    """The same data set as if it had only the items seen so far, tested on some of them; it is still of its own class.

    Labels of other items are unknown, -1; splits hold seen items alone, and for tests those of `tested`. A split
    without such an item is left out.
    """
    splits = {}
    for name, split in data.splits.items():
        test = split.test[torch.isin(split.test, tested)]
        if len(test):
            train, val = (part[torch.isin(part, seen)] for part in (split.train, split.val))
            splits[name] = Split(train, val, test)
    labels = data.labels
    if labels is not None:
        every = torch.arange(len(labels))
        labels = torch.where(torch.isin(every, seen), labels, torch.full_like(labels, -1))
    return seen_as(data, splits=splits, labels=labels)
