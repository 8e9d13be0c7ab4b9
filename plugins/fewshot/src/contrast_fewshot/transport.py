"""Entropic optimal transport: balanced assignment of rows to prototypes, and plans of many episodes at once.

Both work with logarithms, so that no exponential overflows, however small epsilon is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


@torch.no_grad()
def balanced_assignment(scores: Tensor, epsilon: float = 0.05, iterations: int = 10) -> Tensor:
    """Shares of n rows in K prototypes that all prototypes get equal parts of: the Sinkhorn of SwAV and of DyCE.

    P = exp(S / epsilon); `iterations` times: every prototype's column is scaled to n / K, then every row to 1.

    Args:
        scores: S, (n, K), floating; the larger, the better a prototype suits a row.
        epsilon: more than 0; the smaller, the sharper the assignment.
        iterations: at least 1.

    Returns:
        (n, K) in the type of the scores; rows sum to 1, columns to n / K as nearly as the iterations reach.

    Raises:
        ValueError: if epsilon or the iterations are out of range.

    The authors' code has exp(S / epsilon) itself, which overflows for small epsilon; see `overflow_free`.
    """
    check_sinkhorn(epsilon, iterations)
    logarithm = scores / epsilon
    share = math.log(max(len(scores), 1) / scores.shape[1])
    for _ in range(iterations):
        logarithm = logarithm - logarithm.logsumexp(0, keepdim=True) + share
        logarithm = logarithm - logarithm.logsumexp(1, keepdim=True)
    return logarithm.exp()


def check_sinkhorn(epsilon: float, iterations: int) -> None:
    """Raise ValueError unless both numbers are in range."""
    if epsilon <= 0 or iterations < 1:
        raise ValueError(f"epsilon = {epsilon} must be more than 0 and iterations = {iterations} at least 1.")


@torch.no_grad()
def overflow_free(scores: Tensor, epsilon: float) -> float:
    """The epsilon that the authors' code really uses: raised by 0.1 until exp(S / epsilon) has no infinite entry.

    Raises:
        ValueError: if a score is NaN or infinite, which no epsilon helps.
    """
    if not bool(scores.isfinite().all()):
        raise ValueError("Scores of rows and prototypes are NaN or infinite: the embedding has diverged.")
    while True:
        shares = torch.exp(scores / epsilon)
        if not bool((shares / shares.sum()).isnan().any()):
            return epsilon
        epsilon += 0.1


class Plans(NamedTuple):
    """Transport plans (E, w, q) of E episodes, their scaled costs (E, w, q), and how many rounds each took, (E,)."""

    plan: Tensor
    cost: Tensor
    rounds: Tensor


@torch.no_grad()
def episode_plans(
    prototypes: Tensor,
    queries: Tensor,
    epsilon: float = 0.05,
    relaxation: float | None = None,
    rounds: int = 1000,
    tolerance: float = 1e-4,
) -> Plans:
    """The entropic plan between the prototypes and the queries of every episode.

        min_T <T, C> - epsilon H(T) + rho KL(T 1 | 1/w)    with T' 1 = 1/q,    C = |p - x|^2 / max |p - x|^2

    Args:
        prototypes: (E, w, d).
        queries: (E, q, d).
        epsilon: of the entropy, on costs scaled to at most 1.
        relaxation: rho, which holds the prototypes' shares of the queries near 1/w. Left out it is infinite, and they
            are exactly 1/w, as the paper has it: right for as many queries of each class, wrong for others.
        rounds: at most so many.
        tolerance: an episode is done when the prototypes' potentials moved by less, summed over prototypes.

    Returns:
        Plans; a finished episode is not moved any more, so that each gets what it would get alone.

    Raises:
        ValueError: if a number is out of range.

    Paper: BECLR, ICLR 2024, arXiv 2402.02444; the relaxed marginal: Chizat et al., Scaling Algorithms for Unbalanced
    Optimal Transport Problems, 2018.
    """
    if epsilon <= 0 or rounds < 1 or (relaxation is not None and relaxation <= 0):
        raise ValueError(f"epsilon = {epsilon}, relaxation = {relaxation} and rounds = {rounds} must be more than 0.")
    cost = squared_distances(prototypes, queries)
    # Episodes of one point only have no distance to scale by.
    cost = cost / cost.amax((1, 2), keepdim=True).clamp(min=torch.finfo(cost.dtype).tiny)
    shares = [math.log(1 / count + 1e-8) for count in cost.shape[1:]]
    damping = 1.0 if relaxation is None else relaxation / (relaxation + epsilon)
    u, v = cost.new_zeros(cost.shape[0], cost.shape[1], 1), cost.new_zeros(cost.shape[0], 1, cost.shape[2])
    taken = torch.zeros(len(cost), dtype=torch.int64, device=cost.device)
    open_ = torch.arange(len(cost), device=cost.device)
    for _ in range(rounds):
        c, a, b = cost[open_], u[open_], v[open_]
        fresh = damping * epsilon * (shares[0] - ((b - c) / epsilon).logsumexp(2, keepdim=True))
        v[open_] = epsilon * (shares[1] - ((fresh - c) / epsilon).logsumexp(1, keepdim=True))
        u[open_] = fresh
        taken[open_] += 1
        open_ = open_[(fresh - a).abs().sum((1, 2)) >= tolerance]
        if not len(open_):
            break
    return Plans(((u + v - cost) / epsilon).exp(), cost, taken)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2 of each episode: (E, w, d) and (E, q, d) to (E, w, q)."""
    cross = a @ b.transpose(1, 2)
    return (a.square().sum(2)[:, :, None] + b.square().sum(2)[:, None, :] - 2 * cross).clamp(min=0)
