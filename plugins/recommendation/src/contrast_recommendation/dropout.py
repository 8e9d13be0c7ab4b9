"""Dropout whose mask costs 16 random bits a number."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

STEPS = 2**16


@final
class Dropout(nn.Module):
    """x_i / (1 - p) with probability 1 - p, else 0; in evaluation mode x.

    On a CPU torch draws one random number for each entry, which takes longer than all else that is done with it. Here
    four entries share one of 64 bits, so p is rounded to a multiple of 2^-16; the expectation is x with the rounded p,
    too.

    Args:
        p: the probability, in [0, 1).
    """

    def __init__(self, p: float):
        super().__init__()
        self.dropped = min(round(p * STEPS), STEPS - 1)

    def forward(self, x: Tensor) -> Tensor:
        """A tensor of the shape of x."""
        if not self.training or self.dropped == 0:
            return x
        count = x.numel()
        bits = torch.empty(-(-count // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        # Uniform on all 2^16 numbers of 16 bits, which start at -2^15.
        kept = bits.view(torch.int16)[:count].view(x.shape) >= self.dropped - STEPS // 2
        return x * kept.to(x.dtype).mul_(STEPS / (STEPS - self.dropped))
