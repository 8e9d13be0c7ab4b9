"""Large batches through heavy encoders: the gradient of a full batch with the activations of a small one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from contrast_core.cutting import some_items
from contrast_core.embeddings import Embeddings, cat
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Flow, Step, Term
from contrast_core.training.checkpoint import random_state, set_random_state
from contrast_core.training.context import Context


@final
class GradientCache(Step):
    """Encode a batch in chunks, compute the loss on all embeddings, then encode each chunk again with its gradient.

    With z = f(x) and L(z_1 .. z_n): dL/dtheta = sum over chunks of d<z_chunk, stop(dL/dz_chunk)>/dtheta. So only one
    chunk's activations are alive; the price is a second forward pass. Each chunk's random state is replayed, so dropout
    and random views are the same in both passes. The result equals the full batch's gradient if the encoder treats rows
    independently; batch normalisation does not.

    Args:
        chunk: items encoded at a time.

    Raises:
        ContrastError: in use, if a batch has an input that is neither one entry an item nor shared by all.

    Paper: arXiv 2101.06983 (GradCache).
    """

    def __init__(self, chunk: int = 64):
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, not {chunk}.")
        self.chunk = chunk

    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Train on one batch."""
        chunks = _chunks(batch, self.chunk)
        states, encoded = [], []
        with torch.no_grad():
            for chunk in chunks:
                states.append(random_state())
                encoded.append(_tables(context.encode(chunk)))
        shared = set(context.pipeline.encoder.shared)
        tables = {
            name: _leaf(first if name in shared else cat([each[name] for each in encoded]))
            for name, first in encoded[0].items()
        }
        outputs = context.compare(batch, tables)
        terms = context.terms(outputs)
        context.backward(terms)
        after = random_state()
        start = dict.fromkeys(tables, 0)
        for chunk, state in zip(chunks, states, strict=True):
            set_random_state(state)
            products = []
            for name, table in _tables(context.encode(chunk)).items():
                if name in shared and start[name]:
                    continue
                rows = slice(start[name], start[name] + len(table))
                start[name] = rows.stop
                for field, value in table.fields.items():
                    gradient = tables[name].fields[field].grad
                    if gradient is not None and value.requires_grad:
                        products.append((value * gradient[rows]).sum())
            if products:
                # The cached gradients carry the loss scaling of mixed precision already.
                torch.stack(products).sum().backward()
        set_random_state(after)
        context.update(outputs)
        return terms


def _chunks(batch: Flow, size: int) -> list[dict[str, Any]]:
    """The batch in consecutive parts; whatever is not of single items, is shared."""
    lengths = [len(value) for value in batch.values() if isinstance(value, Tensor) and value.dim()]
    n = len(batch["sample"]) if "sample" in batch else max(lengths, default=0)
    try:
        return [some_items(batch, rows, n) for rows in torch.arange(n).split(size)]
    except ValueError as error:
        raise ContrastError(f"In chunks: {error}") from error


def _tables(flow: Flow) -> dict[str, Embeddings]:
    return {name: value for name, value in flow.items() if isinstance(value, Embeddings)}


def _leaf(table: Embeddings) -> Embeddings:
    """The table with fields that collect gradients."""
    fields = {k: v.detach().requires_grad_(v.is_floating_point()) for k, v in table.fields.items()}
    return Embeddings(fields, table.columns)
