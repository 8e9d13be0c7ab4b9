"""Barlow Twins."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.views import off_diagonal_square, two_views


@final
class BarlowTwins(Objective):
    """L = sum_k (1 - C_kk)^2 + trade_off sum_{k != l} C_kl^2, C the cross-correlation of two views.

    C = A^T B / n with A, B (n, d) standardised by column with biased variance (+ eps, as batch normalisation
    has it).

    Args:
        one: name of one table.
        two: name of the other, the same samples in the same order.
        trade_off: lambda.
        eps: added to the variances.

    Use: With small batches, or where no row should be pushed from another: it needs no negatives, but a wide
        projection (thousands of columns).

    Cost: O(n d^2) time and O(d^2) memory beside the tables: linear in the rows where InfoNCE is quadratic, quadratic in
        the columns where InfoNCE is linear.

    Parity: BarlowTwinsLoss of lightly 1.6.0, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the tables do not hold the same samples in the same order.

    Paper: arXiv 2103.03230. No negatives: redundancy reduction, here for comparison.
    """

    def __init__(self, one: str = "one", two: str = "two", trade_off: float = 5e-3, eps: float = 1e-5):
        super().__init__()
        self.needs = (one, two)
        self.one, self.two, self.trade_off, self.eps = one, two, trade_off, eps

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the two tables; with fewer than two samples nothing correlates and it is zero."""
        a, b = two_views(outputs, self.one, self.two)
        if len(a) < 2:
            return Term((a.sum() + b.sum()) * 0.0, rows=0, dropped=len(a))
        with torch.autocast(a.device.type, enabled=False):
            correlation = self._standardised(a).T @ self._standardised(b) / len(a)
            on = (1 - correlation.diagonal()).square().sum()
            return Term(on + self.trade_off * off_diagonal_square(correlation), rows=len(a))

    def _standardised(self, rows: Tensor) -> Tensor:
        variance, mean = torch.var_mean(rows, dim=0, correction=0)
        return (rows - mean) * torch.rsqrt(variance + self.eps)
