"""Clusterings of a table's rows: the prototypes, and who is in which cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings, cat
from contrast_core.interfaces import Flow, Memory
from contrast_graph.clustering import assign, concentration, inner_product_kmeans


@final
class Clusters(Memory):
    """M k-means clusterings of a table's rows, refreshed before the pairs of every step are formed.

    Assignment is by inner product, a(i) = argmax_k p_i . c_k. `read` gives the unit prototypes c_k / |c_k| with columns
    `clustering`, `cluster` and `concentration` (phi_k, their temperature).

    Args:
        source: the table whose rows are clustered.
        clusters: K_1 .. K_M.
        iterations: of Lloyd's algorithm, in one start.
        start: "fresh" starts every write from other random rows; "same" from the same row numbers each time, as the
            authors' fixed seeds do; "warm" goes on from the centroids of the write before. Fixed and warm starts let
            MEOW's prototypes hold on to the arbitrary clusters of the first steps (see the evidence).
        temperature: mean of the concentrations.
        measure: phi from the inner products ("similarity", the authors' code: a tight cluster gets a larger phi) or
            from distances ("distance", prototypical contrastive learning: a smaller one).
        spherical: normalise centroids in each iteration. The authors' code does not: long centroids then attract
            more rows, and clusters stay empty.
        seed: of the starts.

    Raises:
        ValueError: if there is no clustering or an empty one; by `prepare`, if there are more clusters than rows.

    Paper: MEOW, SDM 2023 (faiss: 5 restarts of 20 iterations, from scratch in every epoch).
    """

    def __init__(
        self,
        source: str = "fine",
        clusters: Sequence[int] = (100, 300),
        iterations: int = 10,
        start: Literal["fresh", "same", "warm"] = "fresh",
        temperature: float = 0.4,
        measure: Literal["similarity", "distance"] = "similarity",
        spherical: bool = True,
        seed: int = 0,
    ):
        super().__init__(source, when="before-pairs")
        if not clusters or min(clusters) < 1:
            raise ValueError(
                f"clusters = {list(clusters)}: at least one clustering of at least one cluster is needed, "
                "for example [100, 300]."
            )
        self.clusters, self.iterations, self.start = tuple(clusters), iterations, start
        self.temperature, self.measure = temperature, measure
        self.spherical, self.seed = spherical, seed
        self.register_buffer("writes", torch.tensor(0))

    def prepare(self, flow: Flow) -> None:
        """Make the buffers in the size of the rows."""
        rows: Tensor = flow[self.source].z
        for m, k in enumerate(self.clusters):
            if k > len(rows):
                raise ValueError(f"clusters = {list(self.clusters)}: there are only {len(rows)} rows to cluster.")
            self.register_buffer(f"centroids_{m}", rows.new_zeros(k, rows.shape[1]))
            self.register_buffer(f"concentration_{m}", rows.new_ones(k))

    def write(self, rows: Embeddings) -> None:
        """Cluster the rows anew."""
        z = rows.z.detach()
        writes = int(self.get_buffer("writes"))
        warm = self.start == "warm" and writes > 0
        # A function of the count, which is saved: a resumed run draws what the uninterrupted one would have drawn.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + (writes if self.start == "fresh" else 0))
        for m, k in enumerate(self.clusters):
            centroids = inner_product_kmeans(
                z,
                k,
                self.iterations,
                generator,
                centroids=self._centroids(m) if warm else None,
                spherical=self.spherical,
            )
            self.set_centroids(m, centroids, z)
        self.get_buffer("writes").add_(1)

    def set_centroids(self, m: int, centroids: Tensor, rows: Tensor) -> None:
        """Take the raw centroids (K_m, d) of clustering m, and its concentrations from the rows (n, d)."""
        reference = functional.normalize(centroids, dim=1) if self.measure == "distance" else centroids
        index, inner = assign(rows, centroids)
        if self.measure == "distance":
            inner = (rows * reference[index]).sum(1)
        phi = concentration(inner, index, len(centroids), self.temperature, self.measure)
        setattr(self, f"centroids_{m}", centroids)
        setattr(self, f"concentration_{m}", phi)

    def assignments(self, rows: Tensor) -> Tensor:
        """The cluster of each row in each clustering, (n, M) int64."""
        return torch.stack([assign(rows.detach(), self._centroids(m))[0] for m in range(len(self.clusters))], dim=1)

    def read(self) -> Embeddings:
        """All prototypes, clustering after clustering."""
        tables = []
        for m, k in enumerate(self.clusters):
            z = functional.normalize(self._centroids(m), dim=1)
            columns: dict[str, Tensor | int] = {
                "clustering": m,
                "cluster": torch.arange(k),
                "concentration": self.get_buffer(f"concentration_{m}"),
            }
            tables.append(Embeddings.of(z, source="prototype", **columns))
        return cat(tables)

    def _centroids(self, m: int) -> Tensor:
        return self.get_buffer(f"centroids_{m}")
