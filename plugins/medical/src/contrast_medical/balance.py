"""The weight of the joint entropy, chosen so that one space hardly predicts the other."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_medical.roles import TARGET


@final
class Balance(nn.Module):
    """lambda by dual ascent on the constraint R^2 <= bound: log lambda += rate (R^2 - bound) after every update.

    R^2 = tr(C_cs C_ss^-1 C_sc) / tr(C_cc) is the share of the common rows' variance that a linear (ridge) prediction
    from the salient rows explains, both of target images, at unit length and as they are; C are running covariances
    over batches. With a bound out of reach lambda grows to its largest value and says so in the log.

    Args:
        bound: of R^2, in (0, 1).
        start: lambda at the beginning.
        rate: of the ascent.
        memory: share of the old covariances that is kept at each step.
        largest: lambda is kept from 1/largest to largest.

    Raises:
        ValueError: if the bound is not in (0, 1), start or largest not positive.
    """

    def __init__(
        self, bound: float, start: float = 10.0, rate: float = 0.1, memory: float = 0.9, largest: float = 1000.0
    ):
        super().__init__()
        if not 0 < bound < 1:
            raise ValueError(f"cross_prediction = {bound} must be between 0 and 1.")
        if start <= 0 or largest < 1:
            raise ValueError(f"An automatic weight starts above 0 and ends at 1 or more, not at {start} and {largest}.")
        self.bound, self.rate, self.memory, self.largest = bound, rate, memory, largest
        self.register_buffer("logarithm", torch.tensor(float(start)).log().double())
        self.register_buffer("explained", torch.tensor(float("nan"), dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(0, 0, dtype=torch.float64))
        self.logarithm: Tensor
        self.explained: Tensor
        self.moments: Tensor

    @property
    def weight(self) -> float:
        """lambda as it is."""
        return float(self.logarithm.exp())

    @property
    def cross_prediction(self) -> float:
        """R^2 as last measured; NaN before the first batch."""
        return float(self.explained)

    def build(self, common: int, salient: int) -> None:
        """Make the buffer of moments for rows of these dimensions; once, before anything is watched."""
        size = common + salient + 1
        self.moments = torch.zeros(size, size, dtype=torch.float64, device=self.logarithm.device)

    @torch.no_grad()
    def watch(self, table: Embeddings) -> None:
        """Take in the target rows of a batch and measure R^2."""
        target = table.detach().select(table["role"] == TARGET)
        common = nn.functional.normalize(target["common"].double(), dim=1)
        width = common.shape[1]
        rows = torch.cat([common, target["salient"].double(), common.new_ones(len(common), 1)], 1)
        self.moments.mul_(self.memory).add_(rows.T @ rows)
        count = float(self.moments[-1, -1])
        if count < 2:
            return
        mean = self.moments[-1, :-1] / count
        covariance = self.moments[:-1, :-1] / count - mean[:, None] * mean
        own, cross, salient = covariance[:width, :width], covariance[:width, width:], covariance[width:, width:]
        ridge = 1e-3 * salient.diagonal().mean() + 1e-12
        solved = torch.linalg.solve(salient + ridge * torch.eye(len(salient)).to(salient), cross.T)
        self.explained.copy_((cross * solved.T).sum() / own.diagonal().sum().clamp(min=1e-12))

    @torch.no_grad()
    def move(self) -> None:
        """One step of the ascent."""
        if bool(self.explained.isfinite()):
            limit = torch.tensor(self.largest, dtype=torch.float64).log().item()
            self.logarithm.add_(self.rate * (self.explained - self.bound)).clamp_(-limit, limit)
