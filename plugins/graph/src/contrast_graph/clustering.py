"""k-means by inner product and the cluster concentrations behind MEOW's weighted negatives and prototypes.

MEOW (SDM 2023). The authors run faiss (20 iterations, 5 restarts) from scratch in every epoch; here Lloyd's
iterations are plain torch and may start from the centroids of the epoch before. Nothing here carries
gradient.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def inner_product_kmeans(
    rows: Tensor,
    k: int,
    iterations: int,
    generator: torch.Generator,
    centroids: Tensor | None = None,
    spherical: bool = False,
) -> Tensor:
    """Lloyd's algorithm with assignment argmax_k p_i . c_k and centroids c_k = mean of their rows.

    The means are not re-normalised (as faiss does it for the authors), which favours long centroids and
    leaves clusters empty; ``spherical=True`` normalises them after each update, the sound variant.

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
        means = torch.zeros_like(centroids).index_add_(0, index, rows) / size.clamp(min=1)
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
    inner, index = (rows @ centroids.t()).max(1)
    return index, inner


@torch.no_grad()
def concentration(
    inner: Tensor,
    assignment: Tensor,
    k: int,
    temperature: float,
    measure: Literal["similarity", "distance"] = "similarity",
) -> Tensor:
    """The temperature phi_k of each prototype.

    phi_k = mean(sqrt(D_i)) / ln(n_k + 5) over the n_k rows of cluster k; clusters with 0 or 1 row get the
    largest phi; then phi is clipped to its 10th and 90th percentiles and scaled to the mean ``temperature``.

    With ``"similarity"`` (the authors' code) D_i is the inner product, clipped at 0 where the authors would
    get NaN; a tight cluster then gets a *larger* temperature. With ``"distance"`` D_i = 2 - 2 (inner
    product), the squared distance of unit vectors (so pass inner products with normalised centroids), and a
    tight cluster gets a smaller one, which is the idea of prototypical contrastive learning (Li et al., ICLR
    2021).

    Args:
        inner: p_i . c_a(i), (n,), see :func:`assign`.
        assignment: a(i) in 0..k-1, (n,).
        k: number of clusters.
        temperature: the mean of the result.
        measure: what D is.

    Returns:
        phi, (k,), in the type of ``inner``; all ``temperature`` if no cluster has a positive phi.

    Raises:
        ValueError: unknown measure.
    """
    if measure not in ("similarity", "distance"):
        raise ValueError(f"Unknown measure {measure!r}; use 'similarity' or 'distance'.")
    root = (inner if measure == "similarity" else 2 - 2 * inner).clamp(min=0).sqrt()
    size = torch.bincount(assignment, minlength=k).to(root.dtype)
    total = torch.zeros(k, dtype=root.dtype, device=root.device).index_add_(0, assignment, root)
    phi = total / size.clamp(min=1) / torch.log(size + 5)
    large = size >= 2
    phi = torch.where(large, phi, torch.where(large, phi, 0).max())
    low, high = torch.quantile(phi, torch.tensor([0.1, 0.9], dtype=phi.dtype, device=phi.device))
    phi = phi.clamp(low, high)
    mean = phi.mean()
    return temperature * phi / mean if mean > 0 else torch.full_like(phi, temperature)
