"""A batch whose items come in another order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs

ROW = "row of the kit"
"""A column that numbers rows, to find them again in what a sampler makes of them."""


def order_by(sample: Tensor, seed: int = 3) -> Tensor:
    """Rows in a random order of their items; rows of one item keep their order."""
    items, at = sample.unique(return_inverse=True)
    rank = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    return torch.argsort(rank[at], stable=True)


def reordered(flow: Mapping[str, Any]) -> tuple[dict[str, Any], list[Tensor]]:
    """Everything in a flow that has an entry an item, in another order of the items, and the rows of each field.

    Tables are ordered by their column `sample`; those without one stay.
    """
    found: dict[str, Any] = {}
    back = []
    sample = flow.get("sample")
    count = len(sample) if isinstance(sample, Tensor) else -1
    for name, value in flow.items():
        if isinstance(value, Embeddings):
            rows = order_by(value["sample"]) if "sample" in value else torch.arange(len(value))
            found[name] = value.select(rows)
            back += [rows for x in value.fields.values() if x.requires_grad]
        elif isinstance(value, Tensor) and value.dim() and len(value) == count and isinstance(sample, Tensor):
            found[name] = value[order_by(sample)]
        elif isinstance(value, list | tuple) and len(value) == count and isinstance(sample, Tensor):
            found[name] = type(value)(value[i] for i in order_by(sample).tolist())
        else:
            found[name] = value
    return found, back


def marked(flow: Mapping[str, Any]) -> dict[str, Any]:
    """The flow with a number in every row of its tables."""
    found, start = dict(flow), 0
    for name, value in flow.items():
        if isinstance(value, Embeddings):
            found[name] = value.with_columns(**{ROW: torch.arange(start, start + len(value))})
            start += len(value)
    return found


def by_rows(pairs: Pairs, weights: Tensor) -> Tensor | None:
    """Weights (n, k m) with anchors, and each m candidates, in the order of their numbers; None if they have none.

    A row that is an anchor several times, as in triplets, is that in the order of its weights.
    """
    if ROW not in pairs.anchors or ROW not in pairs.candidates:
        return None
    columns = torch.argsort(pairs.candidates[ROW], stable=True)
    sides = torch.cat([side[:, columns] for side in weights.split(len(columns), 1)], 1)
    number = pairs.anchors[ROW].tolist()
    if len(set(number)) == len(number):
        return sides[torch.argsort(pairs.anchors[ROW])]
    lines = sides.tolist()
    return sides[torch.tensor(sorted(range(len(number)), key=lambda row: (number[row], lines[row])))]
