"""How many directions embeddings use: their spectrum, and the numbers that are read off it.

All functions take rows z of shape (n, d), want no gradients and work in float64 on the smaller of the two Gram
matrices: time O(n d min(n, d)), memory O(min(n, d)^2) beside the rows. With s_k the singular values, falling, of the
rows, centred unless something else is said, the covariance has the eigenvalues l_k = s_k^2 / n. Numbers of different
tables are only comparable for the same n, at best some ten times d.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from contrast_core.diagnostics.rows import Array, checked

STRIPE = 1024
"""Rows that are centred and multiplied at once."""


@torch.no_grad()
def spectrum(z: Array, centred: bool = True) -> Tensor:
    """Singular values of the rows after taking away their mean (or as they are), falling, float64, (min(n, d),).

    They are the roots of the eigenvalues of the smaller of X^T X and X X^T in float64. Eigenvalues that are only
    rounding, below max(n, d) 2^-52 of the largest, are given as 0.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Jing, Vincent, LeCun and Tian, Understanding Dimensional Collapse in Contrastive Self-supervised
    Learning, ICLR 2022.
    """
    rows = checked(z)
    n, d = rows.shape
    mean = rows.mean(0, dtype=torch.float64) if centred else rows.new_zeros(d, dtype=torch.float64)
    if n < d:
        moved = rows.double() - mean
        gram = moved @ moved.T
    else:
        gram = mean.new_zeros(d, d)
        for stripe in rows.split(STRIPE):
            moved = stripe.double() - mean
            gram.addmm_(moved.T, moved)
    eigenvalues: Tensor = torch.linalg.eigvalsh(gram).flip(0).clamp_(min=0).cpu()
    rounding = max(n, d) * torch.finfo(torch.float64).eps * eigenvalues[0]
    return torch.where(eigenvalues > rounding, eigenvalues, 0.0).sqrt_()


def covariance_spectrum(z: Array) -> Tensor:
    """Eigenvalues l_k of C = (1/n) sum_i (z_i - m)(z_i - m)^T with the mean row m, falling, float64, (d,).

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Jing et al., ICLR 2022 (see `spectrum`).
    """
    values = _eigenvalues(spectrum(z), len(z))
    return torch.nn.functional.pad(values, (0, z.shape[1] - len(values)))


def log_covariance_spectrum(z: Array, floor: float = 1e-12) -> Tensor:
    """log10 max(l_k, floor) of the covariance's eigenvalues, (d,): a cliff in it is dimensional collapse.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Jing et al., ICLR 2022 (see `spectrum`).
    """
    return covariance_spectrum(z).clamp(min=floor).log10()


def effective_rank(z: Array, *, centred: bool = True, eps: float = 0.0) -> float:
    """exp(-sum_k p_k log p_k) with p_k = s_k / sum_j s_j over the singular values of the rows.

    From 1 (all on a line) to min(n - 1, d) (spread equally over all directions); 0 when all rows are equal.

    Args:
        z: (n, d).
        centred: take away the mean row first; the paper's definition is that of the matrix itself, `centred=False`.
        eps: added to every p_k before they are made to sum to 1 again. The public code of DHEL and KCL is
            `centred=False, eps=1e-7`.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Roy and Vetterli, The Effective Rank: a Measure of Effective Dimensionality, EUSIPCO 2007.
    """
    share = _shares(spectrum(z, centred)) + eps
    return _exp_entropy(share / share.sum())


def rankme(z: Array, eps: float = 1e-7) -> float:
    """exp(-sum_k p_k log p_k) with p_k = s_k / sum_j s_j + eps over the singular values of z as it is,
    uncentred.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Garrido, Balestriero, Najman and LeCun, RankMe: Assessing the Downstream Performance of Pretrained
    Self-Supervised Representations by Their Rank, ICML 2023.
    """
    return _exp_entropy(_shares(spectrum(z, centred=False)) + eps)


def numerical_rank(z: Array, tol: float = 1e-5, *, absolute: bool = False) -> int:
    """How many eigenvalues of the covariance with divisor n - 1 are above tol times the largest.

    Args:
        z: (n, d).
        tol: the least share of the largest eigenvalue, that is the root of it for a singular value.
        absolute: compare with tol itself, as the public code of DHEL and KCL does with its rows of length one.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.
    """
    values = _eigenvalues(spectrum(z), len(z) - 1)
    return int((values > (tol if absolute else tol * values[0])).sum())


def participation_ratio(z: Array) -> float:
    """(sum_k l_k)^2 / sum_k l_k^2, from 1 (a line) to min(n - 1, d); 0 when all rows are equal.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.
    """
    return _participation(_eigenvalues(spectrum(z), len(z)))


def stable_rank(z: Array, *, centred: bool = False) -> float:
    """|Z|_F^2 / |Z|_2^2 = sum_k s_k^2 / s_1^2 of the rows as they are; 0 when all of them are zero.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.
    """
    return _to_largest(spectrum(z, centred).square())


def nesum(z: Array) -> float:
    """sum_k l_k / l_1, from 1 (a line) to min(n - 1, d); 0 when all rows are equal.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: He and Ozay, Exploring the Gap between Collapsed and Whitened Features in Self-Supervised Learning,
    ICML 2022.
    """
    return _to_largest(_eigenvalues(spectrum(z), len(z)))


def power_law(z: Array, first: int = 1, last: int | None = None, *, weighted: bool = False) -> float:
    """The exponent alpha of l_k ~ k^-alpha: minus the slope of log l_k over log k, by least squares.

    Args:
        z: (n, d).
        first: the first rank k that counts, from 1; last: the last, by default that of the smallest l_k above 0.
        weighted: weigh every rank by 1 / k. The paper names neither ranks nor weights; its authors' code is
            `first=4, last=100, weighted=True`.

    Returns:
        alpha, NaN if fewer than two of the ranks have an eigenvalue above 0.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows, or 1 <= first < last does not hold.

    Paper: Agrawal, Mondal, Ghosh and Richards, alpha-ReQ: Assessing Representation Quality in Self-Supervised
    Learning by Measuring Eigenspectrum Decay, NeurIPS 2022.
    """
    if first < 1 or (last is not None and last <= first):
        raise ValueError(f"A power law is fitted to ranks from first >= 1 to last > first, not {first} to {last}.")
    return _exponent(_eigenvalues(spectrum(z), len(z)), first, last, weighted)


def rank_summary(z: Array) -> dict[str, float]:
    """All numbers of this module with their defaults, from two decompositions.

    Returns:
        effective_rank, rankme, numerical_rank, participation_ratio, stable_rank, nesum and, where it can be fitted,
        power_law.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.
    """
    centred, raw = spectrum(z), spectrum(z, centred=False)
    values = _eigenvalues(centred, len(z))
    numbers = {
        "effective_rank": _exp_entropy(_shares(centred)),
        "rankme": _exp_entropy(_shares(raw) + 1e-7),
        "numerical_rank": float((values > 1e-5 * values[0]).sum()),
        "participation_ratio": _participation(values),
        "stable_rank": _to_largest(raw.square()),
        "nesum": _to_largest(values),
    }
    exponent = _exponent(values, 1, None, weighted=False)
    return numbers if math.isnan(exponent) else {**numbers, "power_law": exponent}


def _eigenvalues(singular: Tensor, divisor: int) -> Tensor:
    return singular.square() / divisor


def _shares(values: Tensor) -> Tensor:
    """Values by their sum; nothing is left of them if that is 0."""
    return values / values.sum() if values[0] > 0 else values[:0]


def _exp_entropy(shares: Tensor) -> float:
    return float(torch.special.entr(shares).sum().exp()) if len(shares) else 0.0


def _participation(values: Tensor) -> float:
    return float(values.sum().square() / values.square().sum()) if values[0] > 0 else 0.0


def _to_largest(values: Tensor) -> float:
    return float(values.sum() / values[0]) if values[0] > 0 else 0.0


def _exponent(values: Tensor, first: int, last: int | None, weighted: bool) -> float:
    rank = torch.arange(1, len(values) + 1, dtype=torch.float64)
    kept = (values > 0) & (rank >= first) & (rank <= (len(values) if last is None else last))
    if int(kept.sum()) < 2:
        return math.nan
    x, y = rank[kept].log(), values[kept].log()
    weight = 1 / rank[kept] if weighted else torch.ones_like(x)
    weight /= weight.sum()
    x, y = x - (weight * x).sum(), y - (weight * y).sum()
    return -float((weight * x * y).sum() / (weight * x * x).sum())
