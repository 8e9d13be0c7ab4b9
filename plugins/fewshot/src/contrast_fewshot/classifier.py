"""Multinomial logistic regression of many small episodes at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Classifiers(NamedTuple):
    """One linear classifier an episode: W = `coefficients` @ prototypes, and `intercepts`; (E, w, w) and (E, w)."""

    coefficients: Tensor
    intercepts: Tensor

    def scores(self, prototypes: Tensor, rows: Tensor) -> Tensor:
        """Logits (E, q, w) of rows (E, q, d), float64."""
        kernel = prototypes.double() @ rows.double().transpose(1, 2)
        return (self.coefficients @ kernel + self.intercepts[:, :, None]).transpose(1, 2)


@torch.no_grad()
def fit(prototypes: Tensor, c: float = 1.0, steps: int = 50, tolerance: float = 1e-9) -> Classifiers:
    """The logistic regression whose training rows are the prototypes, one a class.

        min_{W, b} |W|^2 / 2 + c sum_i -log softmax(W p_i + b)_i

    This is scikit-learn's LogisticRegression(C=c) on w rows. W lies in the span of the prototypes, so each episode is a
    problem of w^2 + w numbers, whatever d is; Newton's steps with halving solve all episodes together, in float64.

    Args:
        prototypes: (E, w, d).
        c: the weight of the loss.
        steps: of Newton's method, at most.
        tolerance: on the largest entry of the optimality conditions.

    Raises:
        ValueError: if a prototype is not finite.
    """
    rows = prototypes.double()
    if not bool(rows.isfinite().all()):
        raise ValueError("A prototype is NaN or infinite; there is nothing to classify by.")
    episodes, ways, _ = rows.shape
    kernel = rows @ rows.transpose(1, 2)
    a, b = rows.new_zeros(episodes, ways, ways), rows.new_zeros(episodes, ways)
    value = _loss(a, b, kernel, c)
    for _ in range(steps):
        residual, jacobian = _conditions(a, b, kernel, c)
        if float(residual.abs().max()) < tolerance:
            break
        step = torch.linalg.solve(jacobian, -residual)
        da, db = step[:, : ways * ways].reshape(a.shape), step[:, ways * ways :]
        length = rows.new_ones(episodes)
        for _ in range(30):
            tried = _loss(a + length[:, None, None] * da, b + length[:, None] * db, kernel, c)
            worse = tried > value + 1e-12 * value.abs()
            if not bool(worse.any()):
                break
            length = torch.where(worse, length / 2, length)
        a, b = a + length[:, None, None] * da, b + length[:, None] * db
        value = _loss(a, b, kernel, c)
    return Classifiers(a, b)


def _loss(a: Tensor, b: Tensor, kernel: Tensor, c: float) -> Tensor:
    logits = a @ kernel + b[:, :, None]
    fit_ = logits.logsumexp(1) - logits.diagonal(dim1=1, dim2=2)
    return 0.5 * (a * (a @ kernel)).sum((1, 2)) + c * fit_.sum(1)


def _conditions(a: Tensor, b: Tensor, kernel: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """A = c (1 - P) and sum_i (1 - P)_i = 0 as residuals (E, w^2 + w), and their derivative."""
    episodes, ways = b.shape
    chances = functional.softmax(a @ kernel + b[:, :, None], dim=1)
    eye = torch.eye(ways, dtype=a.dtype, device=a.device)
    missed = eye - chances
    # All intercepts may move together without a change; this small pull keeps the equations solvable.
    ridge = 1e-8
    residual = torch.cat([(a - c * missed).flatten(1), -missed.sum(2) + ridge * b], dim=1)
    # dP_ci / dlogit_ki of every training row i.
    spread = torch.diag_embed(chances.transpose(1, 2)) - torch.einsum("eci,eki->eick", chances, chances)
    by_a = torch.einsum("eick,eji->ecikj", spread, kernel)
    by_b = spread.permute(0, 2, 1, 3)
    top = torch.cat([c * by_a.reshape(episodes, ways * ways, -1), c * by_b.reshape(episodes, ways * ways, -1)], dim=2)
    top[:, range(ways * ways), range(ways * ways)] += 1
    bottom = torch.cat([by_a.sum(2).flatten(2), by_b.sum(2) + ridge * eye], dim=2)
    return residual, torch.cat([top, bottom], dim=1)
