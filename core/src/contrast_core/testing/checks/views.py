"""Views: the names they declare, and nothing random in evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Flow
from contrast_core.testing.bench import Bench, close, generators_kept, left_alone, tensors_of, twice
from contrast_core.testing.checks import at_work
from contrast_core.testing.order import order_by, reordered
from contrast_core.testing.outcome import Skip, Violation
from contrast_core.testing.reading import Reading


def _at_work(bench: Bench, evaluating: bool = True) -> tuple[Any, dict[str, Any]]:
    """The view and the flow it sees, in float32."""
    composition, part = bench.composition()
    pipeline = composition.pipeline.train(not evaluating)
    flow: dict[str, Any] = dict(bench.batch())
    for view in pipeline.views.values():
        if view is part:
            return part, flow
        flow.update(view(flow))
    with torch.no_grad():
        flow.update(pipeline.encoder(flow))
    for view in pipeline.late_views.values():
        if view is part:
            return part, flow
        flow.update(view(flow))
    raise Skip("it is a part of another component.")


@at_work
def gives_what_it_says(bench: Bench) -> None:
    """It gives at least the names in `gives`, also in evaluation unless it only replaces inputs there."""
    for evaluating in (True, False):
        part, flow = _at_work(bench, evaluating)
        found = part(flow)
        if not isinstance(found, Mapping):
            raise Violation(f"It must give a mapping of names, not {type(found).__name__}.")
        missing(part.gives, {**flow, **found} if evaluating else found)


def missing(gives: Any, found: Flow) -> None:
    """Raise Violation if a declared name, or a column of a table, is not there."""
    for name in gives:
        first, _, column = name.partition(".")
        if first not in found:
            raise Violation(f"It declares gives = {sorted(gives)}, but '{first}' is not among {sorted(found)}.")
        if column and column not in found[first] and column != "label":
            raise Violation(f"It declares that it gives '{name}', but the table '{first}' has no '{column}'.")


@at_work
def reads_what_it_needs(bench: Bench) -> None:
    """What it reads is declared in `needs`."""
    part, flow = _at_work(bench, evaluating=False)
    read = Reading()
    part(read.watching(flow))
    read.check(part.needs)


@at_work
def leaves_its_input_alone(bench: Bench) -> None:
    """It changes no tensor in place."""
    part, flow = _at_work(bench, evaluating=False)
    with torch.no_grad(), left_alone(flow):
        part(flow)


@at_work
def nothing_random_in_evaluation(bench: Bench) -> None:
    """In evaluation mode it draws no random number."""
    part, flow = _at_work(bench)
    with generators_kept("In evaluation mode it"):
        part(flow)


@at_work
def same_seed_same_views(bench: Bench) -> None:
    """With the same random state it gives the same views."""
    part, flow = _at_work(bench, evaluating=False)
    one, two = twice(lambda: tensors_of(part(flow)), (5, 5))
    for name, x in one.items():
        close(two[name], x, f"Twice with the same seed, '{name}' differs", 0.0)


@at_work
def order_of_items(bench: Bench) -> None:
    """In evaluation mode an item's views do not depend on where it stands in the batch."""
    if bench.data().whole:
        raise Skip("its batch is always the whole data set.")
    part, flow = _at_work(bench)
    sample = flow.get("sample")
    if not isinstance(sample, Tensor):
        raise Skip("its batches do not number their items.")
    expected = part(flow)
    found = part(reordered(flow)[0])
    for name, value in expected.items():
        if isinstance(value, Embeddings) and "sample" in value:
            # A view may give several rows of an item, one after another or a table's rows after another's.
            ours, theirs = (table.z[table["sample"].argsort(stable=True)] for table in (found[name], value))
            close(ours, theirs, f"'{name}' depends on the order", 1e-4)
        elif isinstance(value, Tensor) and value.dim() and len(value) == len(sample):
            close(found[name], value[order_by(sample)], f"'{name}' depends on the order of the items", 1e-4)


CHECKS = (
    gives_what_it_says,
    reads_what_it_needs,
    leaves_its_input_alone,
    nothing_random_in_evaluation,
    same_seed_same_views,
    order_of_items,
)
