"""VICReg."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.views import off_diagonal_square, two_views


@final
class VICReg(Objective):
    """Variance, invariance and covariance of two views A, B, (n, d).

    L = invariance mean_ik (A_ik - B_ik)^2 + variance (v(A) + v(B)) / 2 + covariance (c(A) + c(B)), with
    v(A) = mean_k max(0, 1 - sqrt(Var_k + eps)), c(A) = (1/d) sum_{k != l} Cov_kl^2, both unbiased (n - 1).

    Args:
        one: name of one table.
        two: name of the other, the same samples in the same order.
        invariance: lambda.
        variance: mu.
        covariance: nu.
        eps: added to the variances.

    Use: As Barlow Twins, without negatives; the two tables need not come from one network, as each one's spread is kept
        up by itself.

    Cost: O(n d^2) time and O(d^2) memory beside the tables: linear in the rows, quadratic in the columns, the reverse
        of InfoNCE. Rows are not scaled to unit length.

    Parity: VICRegLoss of lightly 1.6.0, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the tables do not hold the same samples in the same order.

    Paper: arXiv 2105.04906. The halves of the variance term are those of the authors' and lightly's code; the
        paper's
    equation 6 has the whole. No negatives, here for comparison.
    """

    def __init__(
        self,
        one: str = "one",
        two: str = "two",
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        eps: float = 1e-4,
    ):
        super().__init__()
        self.needs = (one, two)
        self.one, self.two, self.eps = one, two, eps
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the two tables; with fewer than two samples there is no variance and it is zero."""
        a, b = two_views(outputs, self.one, self.two)
        if len(a) < 2:
            return Term((a.sum() + b.sum()) * 0.0, rows=0, dropped=len(a))
        with torch.autocast(a.device.type, enabled=False):
            value = self.invariance * (a - b).square().mean()
            for rows in (a, b):
                centred = rows - rows.mean(0)
                scatter = centred.T @ centred / (len(rows) - 1)
                value = value + self.variance * self._spread(scatter) / 2
                value = value + self.covariance * off_diagonal_square(scatter) / rows.shape[1]
            return Term(value, rows=len(a))

    def _spread(self, scatter: Tensor) -> Tensor:
        return (1 - (scatter.diagonal() + self.eps).sqrt()).clamp(min=0).mean()
