"""The role of an image: background (plain, healthy) or target (decorated, diseased)."""

from __future__ import annotations

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings

BACKGROUND, TARGET = 0, 1
ROLES = ("background", "target")


def is_target(table: Embeddings) -> Tensor:
    """Which rows are targets, (n,) bool.

    Raises:
        ValueError: if the table has no column `role`, or one with other values than 0 (background) and 1 (target).
    """
    if "role" not in table:
        raise ValueError(
            "The table has no column 'role', which says of each row whether it is background (0) or target (1); "
            "medical/two-spaces takes it from the batch."
        )
    role = table["role"]
    if bool(((role != BACKGROUND) & (role != TARGET)).any()):
        odd = role[(role != BACKGROUND) & (role != TARGET)][0]
        raise ValueError(f"A role is 0 (background) or 1 (target), not {odd.item():g}.")
    return role == TARGET


def salient_rows(table: Embeddings, field: str = "salient") -> Tensor:
    """The salient codes, (n, d), with those of background images replaced by the constant s' = 0."""
    return torch.where(is_target(table)[:, None], table[field], 0.0)
