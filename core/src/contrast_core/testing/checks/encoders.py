"""Encoders: tables under the names they declare, one row an item, and gradients for all that is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.testing.bench import Bench, close, generators_kept, left_alone, tensors_of
from contrast_core.testing.checks import at_work
from contrast_core.testing.checks.views import missing
from contrast_core.testing.order import order_by, reordered
from contrast_core.testing.outcome import Skip, Violation
from contrast_core.testing.reading import Reading
from contrast_core.training.checkpoint import seed_everything


def _at_work(bench: Bench, evaluating: bool = True) -> tuple[Any, dict[str, Any]]:
    """The encoder and the flow it sees, in float32."""
    composition, part = bench.composition()
    pipeline = composition.pipeline.train(not evaluating)
    flow: dict[str, Any] = dict(bench.batch())
    for view in pipeline.views.values():
        flow.update(view(flow))
    return part, flow


@at_work
def gives_what_it_says(bench: Bench) -> None:
    """It gives tables under the names in `gives`, `embedding` among them, with a row an item."""
    part, flow = _at_work(bench)
    found = part(flow)
    if not isinstance(found, Mapping) or not all(isinstance(table, Embeddings) for table in found.values()):
        raise Violation("It must give tables (Embeddings) by name.")
    missing(part.gives, found)
    embedded = part.embed(flow)
    if not isinstance(embedded, Embeddings) or len(embedded) != len(bench.items()):
        raise Violation(f"Its embedding must be a table with a row for each of the {len(bench.items())} items.")
    for name in part.shared:
        if name not in found:
            raise Violation(f"It declares that it shares '{name}', but gives {sorted(found)}.")


@at_work
def reads_what_it_needs(bench: Bench) -> None:
    """What it reads, in training and when it embeds, is declared in `needs`."""
    part, flow = _at_work(bench, evaluating=False)
    read = Reading()
    part(read.watching(flow))
    part.eval().embed(read.watching(flow))
    read.check(part.needs)


@at_work
def leaves_its_input_alone(bench: Bench) -> None:
    """It changes no tensor in place."""
    part, flow = _at_work(bench, evaluating=False)
    with left_alone(flow):
        part(flow)


@at_work
def nothing_random_in_evaluation(bench: Bench) -> None:
    """In evaluation mode it draws no random number, and gives the same rows twice."""
    part, flow = _at_work(bench)
    with torch.no_grad(), generators_kept("In evaluation mode it"):
        one, two = tensors_of(part(flow)), tensors_of(part(flow))
    for name, x in one.items():
        close(two[name], x, f"Twice in evaluation mode, '{name}' differs", 0.0)


@at_work
def same_seed_same_rows(bench: Bench) -> None:
    """With the same random state it gives the same rows in training."""
    part, flow = _at_work(bench, evaluating=False)
    part2, _ = _at_work(bench, evaluating=False)
    seed_everything(5)
    expected = tensors_of(part(flow))
    seed_everything(5)
    found = tensors_of(part2(flow))
    for name, x in expected.items():
        close(found[name], x, f"Twice with the same seed, '{name}' differs", 0.0)


@at_work
def rows_are_independent(bench: Bench) -> None:
    """In evaluation mode an item's row depends on that item alone (unless it declares independent_rows = False)."""
    part, flow = _at_work(bench)
    if not part.independent_rows:
        raise Skip("it declares independent_rows = False.")
    if bench.data().whole:
        raise Skip("its batch is always the whole data set.")
    with torch.no_grad():
        table = part.embed(flow)
        order = order_by(bench.items())
        close(part.embed(reordered(flow)[0]).z, table.z[order], "The embedding depends on the order of the items", 1e-4)
        half = bench.items()[: len(bench.items()) // 2]
        fewer: dict[str, Any] = dict(bench.data().batch(half))
        composition, _ = bench.composition()
        for view in composition.pipeline.eval().views.values():
            fewer.update(view(fewer))
        close(part.embed(fewer).z, table.z[: len(half)], "An item's embedding depends on the others in its batch", 1e-4)


@at_work
def gradient_reaches_every_parameter(bench: Bench) -> None:
    """Every parameter that is to be trained gets a finite gradient from its tables."""
    part, flow = _at_work(bench, evaluating=False)
    fields = [x for table in part(flow).values() for x in table.fields.values() if x.requires_grad]
    if not any(p.requires_grad for p in part.parameters()):
        raise Skip("it has nothing to train.")
    if not fields:
        raise Violation("None of its tables has a gradient: was something detached?")
    generator = torch.Generator().manual_seed(0)
    torch.stack([(x * torch.randn(x.shape, generator=generator, dtype=x.dtype)).sum() for x in fields]).sum().backward()
    for name, parameter in part.named_parameters():
        if parameter.requires_grad and parameter.grad is None:
            raise Violation(
                f"Its parameter '{name}' gets no gradient; freeze it (requires_grad_(False)) if that is meant."
            )
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            raise Violation(f"The gradient of its parameter '{name}' is NaN or infinite.")


@at_work
def half_precision(bench: Bench) -> None:
    """Under autocast to bfloat16 its tables are finite and near those in float32."""
    part, flow = _at_work(bench)
    with torch.no_grad():
        expected = part.embed(flow).z
        with torch.autocast("cpu", torch.bfloat16):
            try:
                found = part.embed(flow).z
            except RuntimeError as error:
                raise Violation(
                    f"Under autocast it ends in RuntimeError: {' '.join(str(error).split())[:200]}"
                ) from error
    if not bool(found.isfinite().all()):
        raise Violation("Under autocast to bfloat16 its embedding is NaN or infinite.")
    apart = float((found.float() - expected.float()).norm() / expected.float().norm().clamp(min=1e-12))
    if apart > 0.2:
        raise Violation(f"Under autocast to bfloat16 its embedding moves by {apart:.0%} of its norm.")


CHECKS = (
    gives_what_it_says,
    reads_what_it_needs,
    leaves_its_input_alone,
    nothing_random_in_evaluation,
    same_seed_same_rows,
    rows_are_independent,
    gradient_reaches_every_parameter,
    half_precision,
)
