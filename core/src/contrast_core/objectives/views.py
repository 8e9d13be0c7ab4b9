"""Two tables of the same samples, for objectives that compare dimensions rather than rows."""

from __future__ import annotations

import torch
from torch import Tensor

from contrast_core.embeddings import at_least_float32
from contrast_core.interfaces import Outputs


def two_views(outputs: Outputs, one: str, two: str) -> tuple[Tensor, Tensor]:
    """The embeddings (n, d) of both tables, in float32 or better.

    Raises:
        ValueError: if the tables do not hold the same samples in the same order.
    """
    first, second = outputs.tables[one], outputs.tables[two]
    if first.z.shape != second.z.shape:
        shapes = f"{tuple(first.z.shape)} and {tuple(second.z.shape)}"
        raise ValueError(f"The tables '{one}' and '{two}' must be two views of the same samples, but have {shapes}.")
    if "sample" in first and "sample" in second and not torch.equal(first["sample"], second["sample"]):
        raise ValueError(f"The tables '{one}' and '{two}' hold different samples, or the same in another order.")
    return at_least_float32(first.z), at_least_float32(second.z)


def off_diagonal_square(matrix: Tensor) -> Tensor:
    """The sum of the squared entries outside of the diagonal, a scalar."""
    return matrix.square().sum() - matrix.diagonal().square().sum()
