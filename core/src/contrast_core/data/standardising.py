"""Standardising features by kept statistics."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn


@final
class Standardise(nn.Module):
    """(x - mean) / deviation in the precision of the mean, float32 afterwards; 0 where the deviation is 0.

    Args:
        mean: of each feature, (k,).
        deviation: of each feature, (k,); 0 marks a constant feature.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, x: Tensor) -> Tensor:
        """x (n, k) as float32 (n, k)."""
        constant = self.deviation == 0
        scaled = (x.to(self.mean.dtype) - self.mean) / torch.where(constant, 1.0, self.deviation)
        return scaled.masked_fill(constant, 0.0).float()
