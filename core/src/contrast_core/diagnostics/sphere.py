"""How far embeddings are from a uniform distribution on the sphere, by the cosines of their pairs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrast_core.diagnostics.rows import Array, checked, unit

TILE = 512
"""Rows (and columns) of one tile of pairs."""


def cosine_density(x: Array, size: int) -> Tensor:
    """The density of the cosine of two random directions in `size` dimensions, float64, of the shape of x.

    p(x) = (1 - x^2)^((size - 3) / 2) Gamma(size / 2) / (Gamma((size - 1) / 2) sqrt(pi)) for -1 < x < 1: (x + 1) / 2 is
    Beta((size - 1) / 2, (size - 1) / 2). Papers that write it with the sphere's own dimension mean size - 1.

    Raises:
        ValueError: if size < 2 or an x lies outside of [-1, 1].

    Paper: Koromilas et al., Bridging Mini-Batch and Asymptotic Analysis in Contrastive Learning, ICML 2024.
    """
    _need_two(size)
    at = torch.as_tensor(x).double()
    if not (at.abs() <= 1).all():
        raise ValueError("A cosine lies between -1 and 1.")
    return (1 - at.square()).pow((size - 3) / 2) * _scale(size)


@torch.no_grad()
def wasserstein_uniformity(z: Array, bins: int = 2**14) -> float:
    """The 1-Wasserstein distance between the cosines of all pairs i < j and those of random directions, in [0, 2].

    W_1 = int_0^1 |Q(u) - Q_d(u)| du with the quantiles Q of the cosines and Q_d = 2 BetaInv((d-1)/2, (d-1)/2) - 1.
    0 is perfectly uniform; a finite sample of random directions stays a little above it. Where most cosines are alike
    (collapse) it is near 1.

    The n (n - 1) / 2 cosines are counted, tile by tile, in equal bins and taken to lie in the middle of theirs: none is
    moved by more than 1 / bins, so neither is the distance. For what is counted the integral is exact. Time O(n^2 d),
    memory O(n d + bins) and one tile.

    Args:
        z: (n, d); rows are scaled to length one.
        bins: how many bins from -1 to 1.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows and d >= 2, or bins < 1.

    Paper: Koromilas et al., ICML 2024 (see `cosine_density`). Their public code draws samples of the density instead,
    and has the dimension of 128 numbers a row built in.
    """
    rows = unit(checked(z))
    n, size = rows.shape
    _need_two(size)
    if bins < 1:
        raise ValueError(f"Cosines are counted in at least one bin, not in {bins}.")
    count = torch.zeros(bins, dtype=torch.long)
    for i in range(0, n, TILE):
        for j in range(i, n, TILE):
            cosines = rows[i : i + TILE] @ rows[j : j + TILE].T
            if i == j:
                cosines = cosines[torch.ones_like(cosines, dtype=torch.bool).triu(1)]
            places = ((cosines.flatten() + 1) * (bins / 2)).floor().clamp_(0, bins - 1).long()
            count += torch.bincount(places, minlength=bins).cpu()
    middles = (np.arange(bins) + 0.5) * (2 / bins) - 1
    found = count.numpy() > 0
    return _distance(middles[found], count.numpy()[found], size)


def _distance(atoms: NDArray[Any], count: NDArray[Any], size: int) -> float:
    """W_1 between rising atoms x_k, which own u from u_{k-1} to u_k, and the ideal, in closed form.

    With F the ideal's distribution function and M(x) = int_{-1}^x t p(t) dt, an atom's part is
    x (2 F(c) - u_{k-1} - u_k) + M(q_{k-1}) + M(q_k) - 2 M(c), where q = Q_d(u) and c is x moved into [q_{k-1}, q_k].
    """
    # Only here: importing it takes longer than most diagnostics.
    from scipy.special import betainc, betaincinv

    shape = (size - 1) / 2
    ends = np.concatenate([[0], np.cumsum(count)]) / count.sum()
    quantiles = 2 * betaincinv(shape, shape, ends) - 1
    low, high = quantiles[:-1], quantiles[1:]
    turn = np.clip(atoms, low, high)
    below = np.where(turn == low, ends[:-1], np.where(turn == high, ends[1:], betainc(shape, shape, (turn + 1) / 2)))

    def partial(x: NDArray[Any]) -> Any:
        return -_scale(size) / (size - 1) * (1 - x**2) ** shape

    parts = atoms * (2 * below - ends[:-1] - ends[1:]) + partial(low) + partial(high) - 2 * partial(turn)
    return float(parts.sum())


def _scale(size: int) -> float:
    return math.exp(math.lgamma(size / 2) - math.lgamma((size - 1) / 2)) / math.sqrt(math.pi)


def _need_two(size: int) -> None:
    if size < 2:
        raise ValueError(f"Directions are spread out in at least 2 dimensions, not in {size}.")
