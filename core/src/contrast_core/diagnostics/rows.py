"""Tables of embeddings as the diagnostics take them: from torch or numpy, checked, without gradients."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = Tensor | NDArray[Any]
"""What a diagnostic takes: a tensor on any device, or a numpy array."""


def checked(z: Array, least: int = 2) -> Tensor:
    """The rows (n, d) in float32 or float64, without gradients.

    Raises:
        ValueError: if z is not (n, d) with at least `least` rows, all finite.
    """
    rows = torch.as_tensor(z).detach()
    if rows.dim() != 2 or len(rows) < least or not rows.shape[1]:
        raise ValueError(f"Embeddings need shape (n, d) with at least {least} rows, not {tuple(rows.shape)}.")
    rows = rows if rows.dtype == torch.float64 else rows.float()
    # A finite sum proves all entries finite in one cheap pass; otherwise look closely.
    if not rows.sum().isfinite() and (bad := int((~rows.isfinite().all(1)).sum())):
        raise ValueError(f"{bad} of {len(rows)} embeddings have NaN or infinite entries.")
    return rows


def checked_labels(labels: Array, rows: int) -> Tensor:
    """One integer a row.

    Raises:
        ValueError: if they are not (rows,).
    """
    found = torch.as_tensor(labels)
    if found.shape != (rows,):
        raise ValueError(f"Labels need shape ({rows},), one a row, not {tuple(found.shape)}.")
    return found


def unit(rows: Tensor) -> Tensor:
    """Rows of length one; a row of zeros stays one."""
    return functional.normalize(rows, dim=1)
