"""The embedding of a data set by a pipeline, and the pipeline left exactly as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from contrast_core.diagnostics.geometry import collapsed, summary
from contrast_core.embeddings import Embeddings
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
    device = next((p.device for p in pipeline.parameters()), torch.device("cpu"))
    wanted = torch.arange(len(data)) if items is None else items
    with _evaluating(pipeline):
        if data.whole:
            z = _embedded(pipeline, data, torch.arange(len(data)), device)[wanted]
        else:
            z = torch.cat([_embedded(pipeline, data, some, device) for some in wanted.split(batch_size)])
    table = Embeddings.of(z, sample=wanted)
    return table if data.labels is None else table.with_columns(label=data.labels[wanted])


def diagnose(pipeline: Pipeline, data: Data, batch_size: int) -> tuple[dict[str, float], str]:
    """The geometry of at most 2,000 items' embedding, always the same ones, and an alarm or ''.

    Raises:
        ContrastError: if the embedding is not finite.
    """
    items = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:DIAGNOSED]
    table = embed_all(pipeline, data, batch_size, items)
    try:
        numbers = summary(table.z, None if data.labels is None else table["label"])
    except ValueError as error:
        raise ContrastError(f"The embedding can't be diagnosed: {error}") from error
    return numbers, collapsed(numbers)


def _embedded(pipeline: Pipeline, data: Data, items: Tensor, device: torch.device) -> Tensor:
    z = pipeline.embed(moved(data.batch(items), device)).z
    if len(z) != len(items):
        raise ContrastError(f"[encoder] The embedding has {len(z)} rows for {len(items)} items; it needs one each.")
    return z.float().cpu()


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
