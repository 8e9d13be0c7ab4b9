"""k-means by inner product, and the concentrations of clusters: what clusterings of rows are made of.

Lloyd's iterations in plain torch, from random rows or from the centroids of an earlier run. Nothing here carries
gradient. The same rows and the same generator give the same bits, on a GPU too, so that a resumed run goes on as it
would have, and processes that share rows share clusters.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

_PAIRS = 2**24
"""How many inner products `assign` holds at a time."""


@torch.no_grad()
def inner_product_kmeans(
    rows: Tensor,
    k: int,
    iterations: int,
    generator: torch.Generator,
    centroids: Tensor | None = None,
    spherical: bool = True,
) -> Tensor:
    """Lloyd's algorithm with assignment argmax_k p_i . c_k and centroids c_k = mean of their rows.

    Means are normalised after each update. With ``spherical=False`` they are not (faiss by inner product does not):
    long centroids then attract more rows, and clusters stay empty.

    Args:
        rows: p, (n, d), usually unit rows.
        k: number of clusters, on a cold start at most n.
        iterations: update steps; one or two are enough with a warm start.
        generator: draws the starting rows and those that replace empty clusters.
        centroids: (k, d) of an earlier run for a warm start, where an empty cluster keeps its centroid. On a
            cold start (None) an empty cluster is moved to a random row.
        spherical: normalise the centroids.

    Returns:
        Centroids (k, d).

    Raises:
        ValueError: k is not in 1..n (k < 1 on a warm start), or the given centroids have another shape.
    """
    n, width = rows.shape
    rows = rows.detach()
    cold = centroids is None
    if k < 1 or (cold and k > n):
        raise ValueError(f"{k} clusters of {n} rows are impossible; choose between 1 and {n}.")
    if centroids is None:
        start = torch.randperm(n, generator=generator, device=generator.device)[:k]
        centroids = rows[start.to(rows.device)]
    elif centroids.shape != (k, width):
        raise ValueError(
            f"The starting centroids have shape {tuple(centroids.shape)} instead of ({k}, {width}); "
            "pass those of a run with the same k, or None."
        )
    centroids = functional.normalize(centroids, dim=1) if spherical else centroids.detach()
    for _ in range(iterations):
        index, _ = assign(rows, centroids)
        size = torch.bincount(index, minlength=k).unsqueeze(1)
        means = _sums(rows, index, k) / size.clamp(min=1)
        if cold:
            chosen = torch.randint(n, (k,), generator=generator, device=generator.device)
            centroids = torch.where(size > 0, means, rows[chosen.to(rows.device)])
        else:
            centroids = torch.where(size > 0, means, centroids)
        if spherical:
            centroids = functional.normalize(centroids, dim=1)
    return centroids


@torch.no_grad()
def assign(rows: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """a(i) = argmax_k p_i . c_k and D_i = p_i . c_a(i), from (n, d) and (k, d) to two vectors of length n."""
    found = [(part @ centroids.t()).max(1) for part in rows.split(max(1, _PAIRS // len(centroids)))]
    return torch.cat([best.indices for best in found]), torch.cat([best.values for best in found])


@torch.no_grad()
def concentration(
    inner: Tensor,
    assignment: Tensor,
    k: int,
    temperature: float,
    measure: Literal["distance", "similarity"] = "distance",
    smoothing: float = 10.0,
) -> Tensor:
    """The temperature phi_k of each prototype.

    phi_k = mean(sqrt(D_i)) / ln(n_k + alpha) over the n_k rows of cluster k, with the smoothing alpha; clusters that
    say nothing (0 or 1 row, or all D_i = 0) get the largest phi; then phi is clipped to its 10th and 90th percentiles
    and scaled to the mean ``temperature``.

    With ``"distance"`` D_i = 2 - 2 p_i . c_a(i), the squared distance of unit vectors, so that sqrt(D_i) is the
    distance and a tight cluster gets a smaller temperature. With ``"similarity"`` D_i is the inner product, clipped at
    0; a tight cluster then gets a *larger* temperature.

    Args:
        inner: p_i . c_a(i), (n,), see :func:`assign`; of unit vectors for ``"distance"``.
        assignment: a(i) in 0..k-1, (n,).
        k: number of clusters.
        temperature: the mean of the result.
        measure: what D is.
        smoothing: alpha, at least 0, which keeps phi of small clusters from being very large.

    Returns:
        phi, (k,), in the type of ``inner``; all ``temperature`` if no cluster has a positive phi.

    Raises:
        ValueError: unknown measure, or a negative smoothing.

    Papers: prototypical contrastive learning (PCL), ICLR 2021, arXiv 2005.04966, distances and alpha = 10. The code of
    MEOW, SDM 2023, has similarities and alpha = 5.
    """
    if measure not in ("similarity", "distance"):
        raise ValueError(f"Unknown measure {measure!r}; use 'similarity' or 'distance'.")
    if smoothing < 0:
        raise ValueError(f"smoothing = {smoothing} must not be negative; 10 is usual.")
    root = (inner if measure == "similarity" else 2 - 2 * inner).clamp(min=0).sqrt()
    size = torch.bincount(assignment, minlength=k).to(root.dtype)
    phi = _sums(root, assignment, k) / size.clamp(min=1) / torch.log(size.clamp(min=2) + smoothing)
    telling = (size >= 2) & (phi > 0)
    phi = torch.where(telling, phi, torch.where(telling, phi, 0).max())
    low, high = torch.quantile(phi, torch.tensor([0.1, 0.9], dtype=phi.dtype, device=phi.device))
    phi = phi.clamp(low, high)
    mean = phi.mean()
    return temperature * phi / mean if mean > 0 else torch.full_like(phi, temperature)


def _sums(values: Tensor, index: Tensor, k: int) -> Tensor:
    """The sum of the values, (n, ...), of each of k groups, with the same bits every time."""
    zeros = values.new_zeros(k, *values.shape[1:])
    # Each of the two adds in a fixed order on one kind of device only.
    if values.is_cuda:
        return zeros.index_put_((index,), values, accumulate=True)
    return zeros.index_add_(0, index, values)
