"""What one space gives away of the other: cross-prediction and HSIC, and a weight that holds it down."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn


def cross_prediction(x: Tensor, y: Tensor, ridge: float = 1e-2) -> float:
    """R^2, clipped to [0, 1], of y (n, e) predicted linearly from x (n, d): fitted on even rows, measured on odd ones.

    Both are standardised by the even rows; the ridge is `ridge` times their number. 0 for fewer than 8 rows.
    """
    if len(x) < 8:
        return 0.0
    x, y = (_standardised(rows.detach().double()) for rows in (x, y))
    a, b = x[::2], y[::2]
    weights = torch.linalg.solve(
        a.T @ a + ridge * len(a) * torch.eye(a.shape[1], dtype=a.dtype, device=a.device), a.T @ b
    )
    wrong = (y[1::2] - x[1::2] @ weights).square().sum()
    whole = (y[1::2] - b.mean(0)).square().sum()
    return float((1 - wrong / whole.clamp_min(1e-12)).clamp(0, 1))


def normalised_hsic(x: Tensor, y: Tensor) -> float:
    """HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)) of rows (n, d) and (n, e), in [0, 1]; 0 if one is constant.

    Gaussian kernels whose width is the median distance; the biased estimate, trace(K H L H) up to its factor.
    Paper: Gretton et al., Measuring Statistical Dependence with Hilbert-Schmidt Norms, ALT 2005.
    """
    a, b = (_centred(rows.detach().double()) for rows in (x, y))
    scale = (a.square().sum() * b.square().sum()).sqrt()
    return float((a * b).sum() / scale) if scale > 0 else 0.0


def _standardised(rows: Tensor) -> Tensor:
    known = rows[::2]
    deviation = known.std(0)
    return (rows - known.mean(0)) / torch.where(deviation > 1e-9, deviation, 1.0)


def _centred(rows: Tensor) -> Tensor:
    squared = torch.cdist(rows, rows).square()
    median = squared[squared > 0].median() if bool((squared > 0).any()) else squared.new_ones(())
    kernel = torch.exp(-squared / (2 * median))
    kernel = kernel - kernel.mean(0)
    return kernel - kernel.mean(1, keepdim=True)


@final
class Constraint(nn.Module):
    """A weight lambda that holds R^2, of common codes predicted from salient ones, below what is allowed.

    Dual ascent after each step: log lambda += rate (R^2 - allowed), with lambda in [start / 100, 100 start].
    R^2 is that of `cross_prediction` within a batch, averaged with momentum. All of it lies in buffers.

    Args:
        allowed: R^2, from 0 to 1.
        start: lambda before the first step, more than 0.
        rate: of the ascent.
        momentum: of the average.

    Raises:
        ValueError: for numbers outside these ranges.
    """

    def __init__(self, allowed: float, start: float, rate: float = 0.1, momentum: float = 0.9):
        super().__init__()
        if not 0 <= allowed <= 1:
            raise ValueError(f"allowed = {allowed}, an R^2, must be from 0 to 1.")
        if start <= 0 or rate <= 0 or not 0 <= momentum < 1:
            raise ValueError(f"start = {start} and rate = {rate} must be above 0, momentum = {momentum} in [0, 1).")
        self.allowed, self.start, self.rate, self.momentum = allowed, start, rate, momentum
        self.log_weight: Tensor
        self.average: Tensor
        self.register_buffer("log_weight", torch.tensor(math.log(start), dtype=torch.float64))
        self.register_buffer("average", torch.tensor(allowed, dtype=torch.float64))

    @property
    def weight(self) -> float:
        """lambda."""
        return math.exp(float(self.log_weight))

    def look(self, common: Tensor, salient: Tensor) -> None:
        """Take into the average what these rows' salient codes say of their common ones; too few say nothing."""
        if len(common) >= 8:
            self.average.lerp_(torch.as_tensor(cross_prediction(salient, common)).to(self.average), 1 - self.momentum)

    def after_update(self) -> None:
        """One step of the ascent."""
        self.log_weight += self.rate * (self.average - self.allowed)
        bound = math.log(100.0)
        self.log_weight.clamp_(math.log(self.start) - bound, math.log(self.start) + bound)
