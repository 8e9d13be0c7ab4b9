"""Some of a batch's items: every input of the batch cut alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def some_items(flow: Mapping[str, Any], rows: Tensor, items: int | None = None) -> dict[str, Any]:
    """The flow of some of its items: tensors, and lists of one entry an item, cut; whatever else there is, is shared.

    Args:
        flow: named inputs of n items.
        rows: which of the items 0 ... n - 1, int64.
        items: n; left out, as many as `sample` has, or the longest tensor.

    Raises:
        ValueError: if a tensor has another number of entries; single numbers are shared.
    """
    lengths = {name: len(value) for name, value in flow.items() if isinstance(value, Tensor) and value.dim()}
    n = lengths.get("sample", max(lengths.values(), default=0)) if items is None else items
    if odd := [name for name, length in lengths.items() if length != n]:
        raise ValueError(f"The input '{odd[0]}' has {lengths[odd[0]]} entries for {n} items: it can't be cut.")
    places = rows.tolist()
    # Neighbours need no copy.
    whole = slice(places[0], places[-1] + 1) if places and torch.equal(rows.diff(), torch.ones_like(rows[1:])) else rows
    found: dict[str, Any] = {}
    for name, value in flow.items():
        if name in lengths:
            found[name] = value[whole]
        elif isinstance(value, list | tuple) and len(value) == n:
            found[name] = type(value)(value[place] for place in places)
        else:
            found[name] = value
    return found
