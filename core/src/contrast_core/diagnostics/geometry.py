"""How embeddings lie in space: are positives close, are rows spread out, do classes stay together; and the alarm.

All functions take rows z of shape (n, d) of any floating type, from torch or numpy, and want no gradients. None needs
more memory than the rows themselves and one tile of row pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from contrast_core.diagnostics.rows import Array, checked, checked_labels, unit
from contrast_core.diagnostics.spectra import effective_rank, rankme

TILE = 512
"""Rows (and columns) of one tile of pairs: 1 MiB in float32, so a tile stays in the cache of one core."""

NEARLY_ONE = 0.999
"""A mean cosine of different rows above this is a complete collapse."""

USED_SHARE = 0.05
"""An effective rank below this share of the possible rank is a dimensional collapse."""


@torch.no_grad()
def alignment(a: Array, b: Array, alpha: float = 2.0) -> float:
    """Mean distance of the two ends of positive pairs: mean_i |a_i/|a_i| - b_i/|b_i||^alpha, in [0, 2^alpha].

    Args:
        a: (n, d), one end of each pair.
        b: (n, d), the other end, row by row.
        alpha: the power of the distance, more than 0.

    Raises:
        ValueError: if the shapes differ, a row is not finite, or alpha is not above 0.

    Paper: Wang and Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity
    on the Hypersphere, ICML 2020.
    """
    if a.shape != b.shape:
        raise ValueError(f"Positive pairs need rows of one shape, not {tuple(a.shape)} and {tuple(b.shape)}.")
    if not alpha > 0:
        raise ValueError(f"A distance is raised to a power alpha > 0, not {alpha}.")
    squares = (unit(checked(a, 1)) - unit(checked(b, 1))).square().sum(1).double()
    return float(squares.pow(alpha / 2).mean())


@torch.no_grad()
def uniformity(z: Array, t: float = 2.0) -> float:
    """How evenly rows cover the unit sphere: log mean_{i<j} exp(-t |u_i - u_j|^2) with u_i = z_i/|z_i|.

    0 when all rows coincide; about -2t when rows lie at right angles, as random rows in many dimensions do.
    The mean runs over all n(n-1)/2 pairs, tile by tile, as a log-sum-exp, so that a large t does not
    underflow.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.

    Paper: Wang and Isola, ICML 2020 (see `alignment`).
    """
    rows = unit(checked(z))
    squares = rows.square().sum(1)  # 1, or 0 for a row of zeros, which stays at the origin
    n, total = len(rows), rows.new_tensor(-math.inf, dtype=torch.float64)
    for i in range(0, n, TILE):
        for j in range(i, n, TILE):
            exponents = (rows[i : i + TILE] @ rows[j : j + TILE].T).mul_(2)
            exponents.sub_(squares[i : i + TILE, None]).sub_(squares[j : j + TILE]).clamp_(max=0).mul_(t)
            if i == j:
                exponents.masked_fill_(torch.ones_like(exponents, dtype=torch.bool).tril_(), -math.inf)
            if exponents.numel() > 1 or i != j:
                total = torch.logaddexp(total, exponents.flatten().logsumexp(0).double())
    return float(total) - math.log(n * (n - 1) / 2)


@torch.no_grad()
def tolerance(z: Array, labels: Array, *, with_self: bool = False) -> float:
    """Mean cosine of the pairs i < j of rows with the same label: high where a class stays together.

    With u_i = z_i/|z_i| and the class sums s_c = sum_{i in c} u_i this is
    sum_c (|s_c|^2 - sum_{i in c} |u_i|^2) / sum_c n_c (n_c - 1): O(n d), no pair is formed.

    Args:
        z: (n, d).
        labels: (n,) integers; rows with a negative label are unknown and left out.
        with_self: count the pair of every row with itself too: sum_c |s_c|^2 / sum_c n_c^2. It lies higher, the
            more so the smaller the classes are.

    Returns:
        The mean, NaN if no two rows share a label (with self: if no row has one).

    Raises:
        ValueError: if the shapes don't fit, or a row is not finite.

    Paper: Wang and Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021. There the mean runs over
    all pairs with 0 for different labels; here it runs over the pairs that count, so that it doesn't depend
    on how many classes there are.
    """
    rows = unit(checked(z, 1))
    labels = checked_labels(labels, len(rows)).to(rows.device)
    known = labels >= 0
    rows = rows[known].double()
    classes, which, counts = torch.unique(labels[known], return_inverse=True, return_counts=True)
    sums = rows.new_zeros(len(classes), rows.shape[1]).index_add_(0, which, rows).square().sum()
    pairs = counts.double().square().sum()
    if not with_self:
        sums, pairs = sums - rows.square().sum(), pairs - len(rows)
    return float(sums / pairs) if pairs else math.nan


@torch.no_grad()
def mean_cosine(z: Array) -> float:
    """Mean cosine of two different rows, (|sum_i u_i|^2 - sum_i |u_i|^2) / (n (n - 1)) with u_i = z_i/|z_i|.

    1 when all rows point the same way, about 0 when they point everywhere.

    Raises:
        ValueError: if z is not (n, d) with n >= 2 finite rows.
    """
    rows = unit(checked(z)).double()
    return float(rows.sum(0).square().sum() - rows.square().sum()) / (len(rows) * (len(rows) - 1))


@torch.no_grad()
def summary(
    z: Array, labels: Array | None = None, rows: int = 2000, generator: torch.Generator | None = None
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
    z = checked(z)
    labels = None if labels is None else checked_labels(labels, len(z))
    if len(z) > rows:
        generator = generator or torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(z), generator=generator)[:rows]
        z, labels = z[chosen.to(z.device)], None if labels is None else labels[chosen.to(labels.device)]
    numbers = {
        "uniformity": uniformity(z),
        "effective_rank": effective_rank(z),
        "rankme": rankme(z),
        "mean_cosine": mean_cosine(z),
        "mean_norm": float(z.norm(dim=1).mean()),
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
