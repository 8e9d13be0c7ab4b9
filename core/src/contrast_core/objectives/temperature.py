"""The temperature of an objective, fixed or learned."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn


@final
class LogitScale(nn.Module):
    """t, a number, or learned as t = exp(-u) with u <= log(maximum_scale), as in CLIP (arXiv 2103.00020).

    Args:
        temperature: t > 0 at the start.
        learnable: whether u = log(1/t) is a parameter; its gradient is exact.
        maximum_scale: the largest 1/t that learning may reach.

    Raises:
        ValueError: if t <= 0, or 1/t starts beyond the maximum.
    """

    def __init__(self, temperature: float, learnable: bool = False, maximum_scale: float = 100.0):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"A temperature must be positive, not {temperature}.")
        self.fixed = temperature
        self.log_scale: nn.Parameter | None = None
        if learnable:
            if 1 / temperature > maximum_scale:
                least = 1 / maximum_scale
                raise ValueError(
                    f"A learned temperature of {temperature} starts below {least:g}, the least that "
                    f"maximum_scale = {maximum_scale:g} allows; raise one of the two."
                )
            self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
            self.limit = math.log(maximum_scale)

    def forward(self) -> float | Tensor:
        """t: a float, or a scalar tensor if learned."""
        if self.log_scale is None:
            return self.fixed
        return torch.exp(-self.log_scale.clamp(max=self.limit))

    @torch.no_grad()
    def clamp(self) -> None:
        """Put u back to its limit: beyond it the gradient would be zero for ever."""
        if self.log_scale is not None:
            self.log_scale.clamp_(max=self.limit)

    @torch.no_grad()
    def scalars(self) -> dict[str, float]:
        """The present temperature, for the log, if it is learned."""
        return {} if self.log_scale is None else {"temperature": float(self())}
