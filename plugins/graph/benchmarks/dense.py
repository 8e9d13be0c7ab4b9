"""MEOW and AdaMEOW as the authors' code computes them, for comparison; written from the papers' equations.

What is taken over is the algorithm: one dense N x N matrix a meta-path and copy, one product a branch and layer, all
N x N weights and exponentials under autograd, k-means from scratch every epoch (5 restarts of 20 iterations for each K,
with faiss where installed), and for AdaMEOW the network on all N x N sums of rows. Features and contexts stay sparse,
which favours this side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, normalize

from contrast_core.clustering import assign, concentration, inner_product_kmeans
from contrast_graph.encoder import MetapathEncoder
from contrast_graph.sparse import Adjacency
from contrast_graph.views import Context, GraphView


class Dense:
    """MEOW's model and loss by dense matrices and plain autograd, around the parameters of a MetapathEncoder."""

    def __init__(self, views: dict[str, Any], rate: float, temperature: float, clusters: Sequence[int]):
        self.views, self.model = views, MetapathEncoder(dropout=rate)
        self.model.prepare(views)
        self.plain = [a.to_dense() for a in views["fine"].adjacencies]
        self.masked = [a.to_dense() for a in views["fine-masked"].adjacencies]
        self.coarse = torch.stack(self.plain).mean(0)
        self.rate, self.temperature, self.sizes = rate, temperature, clusters

    def branch(self, features: Tensor, adjacency: Tensor) -> Tensor:
        """g(H, A): two dense products, then the norm over the whole matrix."""
        g = self.model.convolution
        hidden = g.activation(adjacency @ dropout(features @ g.first, self.rate))
        return g.norm(adjacency @ dropout(hidden @ g.second, self.rate))

    def rows(self) -> tuple[Tensor, Tensor]:
        """The projections of the coarse and the fused fine view."""
        m, views = self.model, self.views
        h, masked = m.target(views["fine"].features), m.target(views["fine-masked"].features)
        others = {k: part(x) for part, (k, x) in zip(m.types, views["context"].features.items(), strict=True)}
        fine = []
        for number, hops in enumerate(views["context"].hops):
            pair = m.contexts[number]([h, masked], [(mean, others[kind]) for kind, mean in hops])
            fine += [self.branch(pair[0], self.plain[number]), self.branch(pair[1], self.masked[number])]
        fused, _ = m.attention([normalize(z, dim=1) for z in fine])
        a, b = (normalize(torch.tanh(m.projection(z)), dim=1) for z in (self.branch(h, self.coarse), fused))
        return a, b

    @torch.no_grad()
    def clusters(self, rows: Tensor) -> list[Tensor]:
        """The best of 5 restarts of 20 iterations, from scratch."""
        return [_kmeans(rows, k) for k in self.sizes]

    def loss(self, a: Tensor, b: Tensor, centroids: list[Tensor]) -> Tensor:
        """Weighted InfoNCE with all N x N weights, and the prototypes' term."""
        found = [assign(b.detach(), c) for c in centroids]
        weights = torch.stack([(index[:, None] != index[None]).float() for index, _ in found]).sum(0)
        s = a @ b.T / self.temperature
        value = (torch.log((weights * torch.exp(s)).sum(1)) - s.diagonal()).mean()
        for (index, inner), c in zip(found, centroids, strict=True):
            phi = concentration(inner, index, len(c), self.temperature, "similarity", smoothing=5)
            logits = a @ normalize(c, dim=1).T / phi
            own = logits.gather(1, index[:, None]).squeeze(1)
            value = value + (torch.log(torch.exp(logits).sum(1)) - own).mean() / len(found)
        return value


def _kmeans(rows: Tensor, k: int) -> Tensor:
    try:
        import faiss
    except ImportError:
        runs = [
            inner_product_kmeans(rows, k, 20, torch.Generator().manual_seed(seed), spherical=False) for seed in range(5)
        ]
        return max(runs, key=lambda c: float(assign(rows, c)[1].sum()))
    engine = faiss.Kmeans(rows.shape[1], k, niter=20, nredo=5, seed=0, max_points_per_centroid=4000)
    engine.cp.spherical, engine.index = False, faiss.IndexFlatIP(rows.shape[1])
    engine.train(rows.numpy())
    return torch.from_numpy(engine.centroids)


def adaptive_loss(a: Tensor, b: Tensor, network: nn.Module) -> Tensor:
    """AdaMEOW's loss at temperature 1 with the network evaluated on every sum a_i + b_j, (N, N, d)."""
    s = a @ b.T
    weights = network(a[:, None] + b[None]).squeeze(2)
    return (torch.log((weights * torch.exp(s)).sum(1)) - s.diagonal()).mean()


def in_float64(part: Any) -> Any:
    """The same view or context with float64 matrices."""
    if isinstance(part, Adjacency):
        return part.to(dtype=torch.float64)
    if isinstance(part, GraphView):
        return GraphView(in_float64(part.features), tuple(in_float64(a) for a in part.adjacencies))
    hops = tuple(tuple((kind, in_float64(mean)) for kind, mean in path) for path in part.hops)
    return Context({kind: in_float64(x) for kind, x in part.features.items()}, hops)
