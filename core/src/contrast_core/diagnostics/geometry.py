"""How embeddings lie in space: are positives close, are rows spread out, how many directions are in use.

All functions take rows z of shape (n, d) of any floating type and want no gradients. None needs more memory
than the rows themselves, one tile of row pairs and a matrix of the smaller side of z.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

TILE = 512
"""Rows (and columns) of one tile of pairs: 1 MiB in float32, so a tile stays in the cache of one core."""

NEARLY_ONE = 0.999
"""A mean cosine of different rows above this is a complete collapse."""

USED_SHARE = 0.05
"""An effective rank below this share of the possible rank is a dimensional collapse."""


@torch.no_grad()
def alignment(a: Tensor, b: Tensor) -> float:
    """Mean squared distance of the two ends of positive pairs: mean_i |a_i/|a_i| - b_i/|b_i||^2, in [0, 4].

    Args:
        a: (n, d), one end of each pair.
        b: (n, d), the other end, row by row.

    Raises:
        ValueError: if the shapes differ, or a row is not finite.

    Paper: Wang and Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity
    on the Hypersphere, ICML 2020 (with their alpha = 2).
    """
    if a.shape != b.shape:
        raise ValueError(f"Positive pairs need rows of one shape, not {tuple(a.shape)} and {tuple(b.shape)}.")
    return float((_unit(_rows(a, 1)) - _unit(_rows(b, 1))).square().sum(1).double().mean())


@torch.no_grad()
def uniformity(z: Tensor, t: float = 2.0) -> float:
    """How evenly rows cover the unit sphere: log mean_{i<j} exp(-t |u_i - u_j|^2) with u_i = z_i/|z_i|.

    0 when all rows coincide; about -2t when rows lie at right angles, as random rows in many dimensions do.
    The mean runs over all n(n-1)/2 pairs, tile by tile, as a log-sum-exp, so that a large t does not
    underflow.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Wang and Isola, ICML 2020 (see `alignment`).
    """
    unit = _unit(_rows(z))
    squares = unit.square().sum(1)  # 1, or 0 for a row of zeros, which stays at the origin
    n, total = len(unit), unit.new_tensor(-math.inf, dtype=torch.float64)
    for i in range(0, n, TILE):
        for j in range(i, n, TILE):
            exponents = (unit[i : i + TILE] @ unit[j : j + TILE].T).mul_(2)
            exponents.sub_(squares[i : i + TILE, None]).sub_(squares[j : j + TILE]).clamp_(max=0).mul_(t)
            if i == j:
                exponents.masked_fill_(torch.ones_like(exponents, dtype=torch.bool).tril_(), -math.inf)
            if exponents.numel() > 1 or i != j:
                total = torch.logaddexp(total, exponents.flatten().logsumexp(0).double())
    return float(total) - math.log(n * (n - 1) / 2)


@torch.no_grad()
def tolerance(z: Tensor, labels: Tensor) -> float:
    """Mean cosine of the pairs i < j of rows with the same label: high where a class stays together.

    With u_i = z_i/|z_i| and the class sums s_c = sum_{i in c} u_i this is
    sum_c (|s_c|^2 - sum_{i in c} |u_i|^2) / sum_c n_c (n_c - 1): O(n d), no pair is formed.

    Args:
        z: (n, d).
        labels: (n,) integers; rows with a negative label are unknown and left out.

    Returns:
        The mean, NaN if no two rows share a label.

    Raises:
        ValueError: if the shapes don't fit, or a row is not finite.

    Paper: Wang and Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021. There the mean runs over
    all pairs with 0 for different labels; here it runs over the pairs that count, so that it doesn't depend
    on how many classes there are.
    """
    unit = _unit(_rows(z, 1))
    if labels.shape != (len(z),):
        raise ValueError(f"Labels need shape ({len(z)},), one a row, not {tuple(labels.shape)}.")
    known = labels >= 0
    unit = unit[known].double()
    classes, which, counts = torch.unique(labels[known], return_inverse=True, return_counts=True)
    sums = unit.new_zeros(len(classes), unit.shape[1]).index_add_(0, which, unit)
    pairs = float((counts.double() * (counts.double() - 1)).sum())
    return float(sums.square().sum() - unit.square().sum()) / pairs if pairs else math.nan


@torch.no_grad()
def spectrum(z: Tensor, centred: bool = True) -> Tensor:
    """Singular values of the rows after taking away their mean, falling, float64, (min(n, d),).

    They are the roots of the eigenvalues of the smaller of X^T X and X X^T in float64, so that values below
    about 1e-8 of the largest are noise.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Jing, Vincent, LeCun and Tian, Understanding Dimensional Collapse in Contrastive Self-supervised
    Learning, ICLR 2022.
    """
    rows = _rows(z)
    n, d = rows.shape
    mean = rows.mean(0, dtype=torch.float64) if centred else rows.new_zeros(d, dtype=torch.float64)
    if n < d:
        moved = rows.double() - mean
        gram = moved @ moved.T
    else:
        gram = mean.new_zeros(d, d)
        for start in range(0, n, 2 * TILE):
            moved = rows[start : start + 2 * TILE].double() - mean
            gram.addmm_(moved.T, moved)
    eigenvalues: Tensor = torch.linalg.eigvalsh(gram)
    return eigenvalues.clamp_(min=0).sqrt_().flip(0)


def effective_rank(z: Tensor) -> float:
    """exp(-sum_k p_k log p_k) with p_k = s_k / sum_j s_j over the singular values of the centred rows.

    From 1 (all on a line) to min(n - 1, d) (spread equally over all directions); 0 when all rows are equal.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Roy and Vetterli, The Effective Rank: a Measure of Effective Dimensionality, EUSIPCO 2007.
    """
    return _exp_entropy(spectrum(z))


def rankme(z: Tensor, eps: float = 1e-7) -> float:
    """exp(-sum_k p_k log p_k) with p_k = s_k / sum_j s_j + eps over the singular values of z as it is,
    uncentred.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Garrido, Balestriero, Najman and LeCun, RankMe: Assessing the Downstream Performance of Pretrained
    Self-Supervised Representations by Their Rank, ICML 2023.
    """
    return _exp_entropy(spectrum(z, centred=False), eps)


@torch.no_grad()
def mean_cosine(z: Tensor) -> float:
    """Mean cosine of two different rows, (|sum_i u_i|^2 - sum_i |u_i|^2) / (n (n - 1)) with u_i = z_i/|z_i|.

    1 when all rows point the same way, about 0 when they point everywhere.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.
    """
    unit = _unit(_rows(z)).double()
    return float(unit.sum(0).square().sum() - unit.square().sum()) / (len(unit) * (len(unit) - 1))


@torch.no_grad()
def summary(
    z: Tensor, labels: Tensor | None = None, rows: int = 2000, generator: torch.Generator | None = None
) -> dict[str, float]:
    """The numbers worth logging every few steps, on at most `rows` rows drawn with `generator`.

    Args:
        z: (n, d).
        labels: (n,), negative where unknown; without labels there is no `tolerance`.
        rows: most rows to look at.
        generator: draws the rows, on the CPU; by default a fresh one with seed 0, so that every call looks at
            the same rows.

    Returns:
        uniformity, effective_rank, rankme, mean_cosine, mean_norm (mean |z_i|), possible_rank (min(rows - 1,
        d), the most the effective rank can be) and, where two rows share a label, tolerance.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.
    """
    if len(z) > rows:
        generator = generator or torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(z), generator=generator)[:rows].to(z.device)
        z, labels = z[chosen], None if labels is None else labels[chosen]
    numbers = {
        "uniformity": uniformity(z),
        "effective_rank": effective_rank(z),
        "rankme": rankme(z),
        "mean_cosine": mean_cosine(z),
        "mean_norm": float(_rows(z).norm(dim=1).mean()),
        "possible_rank": float(min(len(z) - 1, z.shape[1])),
    }
    together = math.nan if labels is None else tolerance(z, labels)
    return numbers if math.isnan(together) else {**numbers, "tolerance": together}


def collapsed(numbers: Mapping[str, float]) -> str:
    """One sentence if the numbers of `summary` show a collapse, else an empty string.

    Complete collapse: rows are all zero, or point the same way (mean cosine above 0.999). Dimensional
    collapse: with r = min(n - 1, d), the effective rank is below 2 or below 5 % of r, whichever is more;
    where r is under 4, below r / 2, since two directions are then all or most of what there is.
    """
    possible, used, cosine = numbers["possible_rank"], numbers["effective_rank"], numbers["mean_cosine"]
    if numbers["mean_norm"] == 0:
        return "Complete collapse: all embeddings are zero."
    if cosine > NEARLY_ONE:
        return f"Complete collapse: all embeddings are nearly the same (mean cosine of two rows {cosine:.5f})."
    if used < max(min(2.0, possible / 2), USED_SHARE * possible):
        return f"Dimensional collapse: the embeddings use {used:.1f} of {possible:.0f} possible directions."
    return ""


def _exp_entropy(values: Tensor, eps: float = 0.0) -> float:
    total = values.sum()
    if total <= 0:
        return 0.0
    share = values / total + eps
    return float(torch.special.entr(share).sum().exp())


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def _rows(z: Tensor, least: int = 2) -> Tensor:
    """The rows in float32 or float64, checked."""
    if z.dim() != 2 or len(z) < least or not z.shape[1]:
        raise ValueError(f"Embeddings need shape (n, d) with at least {least} rows, not {tuple(z.shape)}.")
    z = z.detach()
    z = z if z.dtype == torch.float64 else z.float()
    # A finite sum proves all entries finite in one cheap pass; otherwise look closely.
    if not z.sum().isfinite() and (bad := int((~z.isfinite().all(1)).sum())):
        raise ValueError(f"{bad} of {len(z)} embeddings have NaN or infinite entries.")
    return z
