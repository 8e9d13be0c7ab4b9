"""The embedding of a data set by a pipeline, and the pipeline left exactly as it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from contrast_core.compose import Composition
from contrast_core.diagnostics.geometry import collapsed, summary
from contrast_core.embeddings import Embeddings, cat
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data
from contrast_core.pipeline import Pipeline
from contrast_core.training.checkpoint import random_state, set_random_state
from contrast_core.training.runtime import moved

DIAGNOSED = 2000
"""Most items whose geometry is looked at while training."""


def embed_all(pipeline: Pipeline, data: Data, batch_size: int, items: Tensor | None = None) -> Embeddings:
    """The embedding of every item (or of some), in evaluation mode, where the pipeline is; the table is on the CPU.

    Rows are in the order of the items, with columns sample and label (if there are any). Modes of modules and random
    generators are afterwards what they were.

    Raises:
        ContrastError: if the encoder gives another number of rows than there are items.
    """
    return embed_tables(pipeline, data, batch_size, items=items)["embedding"]


def embed_tables(
    pipeline: Pipeline, data: Data, batch_size: int, names: Iterable[str] = (), items: Tensor | None = None
) -> dict[str, Embeddings]:
    """The `embedding` of every item (or of some) as by `embed_all`, and those tables of the encoder that are named."""
    device = next((p.device for p in pipeline.parameters()), torch.device("cpu"))
    wanted = evaluation_items(data) if items is None else items
    others = set(names) - {"embedding"}
    with _evaluating(pipeline):
        if data.whole:
            found = _embedded(pipeline, data, torch.arange(len(data)), device, others)
            tables = {name: table.select(wanted) for name, table in found.items()}
        else:
            parts = wanted.split(batch_size)
            # What is the same whatever the batch is looked at once.
            own = others - set(pipeline.encoder.shared)
            each = [_embedded(pipeline, data, some, device, own if n else others) for n, some in enumerate(parts)]
            tables = {
                name: cat([part[name] for part in each]) if name in each[-1] else first
                for name, first in each[0].items()
            }
    table = tables["embedding"].with_columns(sample=wanted)
    if data.labels is not None:
        table = table.with_columns(label=data.labels[wanted])
    return {**tables, "embedding": table}


def evaluated_tables(composition: Composition, names: Iterable[str]) -> dict[str, Embeddings]:
    """What evaluators read: as by `embed_tables`, and as `rehearsal` the embedding of what the store keeps.

    Raises:
        ContrastError: if the store keeps items that these data do not have.
    """
    pipeline, data, store = composition.pipeline, composition.data, composition.pipeline.rehearsal
    wanted = set(names)
    kept = store.kept() if store is not None and "rehearsal" in wanted else None
    if kept is not None:
        wanted.discard("rehearsal")
        if bool((kept >= len(data)).any()):
            raise ContrastError(
                f"The rehearsal store keeps item {int(kept.max())}, but these data have {len(data)}: it was filled "
                "with items of other data."
            )
    tables = embed_tables(pipeline, data, composition.training.batch_size, wanted)
    if kept is not None:
        items = tables["embedding"]["sample"]
        place = torch.full((len(data),), -1).index_put((items,), torch.arange(len(items)))[kept]
        tables["rehearsal"] = tables["embedding"].select(place[place >= 0])
        if bool((place < 0).any()):
            tables["rehearsal"] = embed_all(pipeline, data, composition.training.batch_size, kept)
    return tables


def evaluation_items(data: Data) -> Tensor:
    """The numbers of the items that are embedded for evaluation and export."""
    wanted = data.evaluation_items
    return torch.arange(len(data)) if wanted is None else wanted


def diagnose(pipeline: Pipeline, data: Data, batch_size: int) -> tuple[dict[str, float], str]:
    """The geometry of at most 2,000 items' embedding, always the same ones, and an alarm or ''.

    Raises:
        ContrastError: if the embedding is not finite.
    """
    items = evaluation_items(data)
    items = items[torch.randperm(len(items), generator=torch.Generator().manual_seed(0))[:DIAGNOSED]]
    table = embed_all(pipeline, data, batch_size, items)
    try:
        numbers = summary(table.z, None if data.labels is None else table["label"])
    except ValueError as error:
        raise ContrastError(f"The embedding can't be diagnosed: {error}") from error
    return numbers, collapsed(numbers)


def _embedded(
    pipeline: Pipeline, data: Data, items: Tensor, device: torch.device, others: Collection[str]
) -> dict[str, Embeddings]:
    batch = moved(data.batch(items), device)
    z = pipeline.embed(batch).z
    if len(z) != len(items):
        raise ContrastError(f"[encoder] The embedding has {len(z)} rows for {len(items)} items; it needs one each.")
    found = {"embedding": Embeddings.of(z.float().cpu())}
    if others:
        flow = pipeline.encode(batch)
        found.update({name: _on_cpu(flow[name]) for name in others})
    return found


def _on_cpu(table: Embeddings) -> Embeddings:
    fields = {name: tensor.float().cpu() for name, tensor in table.fields.items()}
    return Embeddings(fields, {name: tensor.cpu() for name, tensor in table.columns.items()})


@contextmanager
def _evaluating(pipeline: Pipeline) -> Iterator[None]:
    # Not train(was_training) afterwards: a part may keep some of its modules in evaluation mode.
    modes = [(module, module.training) for module in pipeline.modules()]
    kept = random_state()
    pipeline.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        set_random_state(kept)
