"""Clusterings of a table's rows, or of a bank of them: the prototypes, and who is in which cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.clustering import assign, concentration, inner_product_kmeans
from contrast_core.embeddings import Embeddings, at_least_float32, cat
from contrast_core.interfaces import Flow, Memory


@final
class Clusters(Memory):
    """M k-means clusterings of rows scaled to unit length, made anew before the pairs of a step are formed.

    Assignment is by inner product, a(i) = argmax_k p_i . c_k. `read` gives the unit prototypes c_k / |c_k| with the
    columns `clustering`, `cluster`, `concentration` (phi_k, their temperature) and `source`, "prototype"; before the
    first clustering it gives none, and `assignments` are -1.

    Clustered are the rows of the table that is written; or with a bank, all that the bank remembers when they were
    written into it. With `every` = steps in an epoch, a bank `core/keyed` and a teacher's table this is the E-step of
    prototypical contrastive learning (PCL), without a pass of its own over the data.

    Args:
        source: the table whose rows are clustered.
        clusters: K_1 .. K_M.
        bank: a memory of the same table, whose own `when` is of no account; left out, each write stands for itself.
        every: cluster at every so many writes.
        warm_up: how many writes come before the first clustering, for example while a bank fills.
        iterations: of Lloyd's algorithm, in one start.
        start: "fresh" starts every clustering from other random rows; "same" from the same row numbers each time;
            "warm" goes on from the centroids of the clustering before. Fixed and warm starts hold on to the arbitrary
            clusters of the first steps.
        temperature: mean of the concentrations.
        measure: phi from distances ("distance", as PCL: a tight cluster gets a smaller one) or from inner products
            ("similarity", as the code of MEOW: a larger one).
        smoothing: alpha of phi, see `contrast_core.clustering.concentration`; 10 in PCL, 5 in MEOW.
        spherical: normalise centroids in each iteration; otherwise long centroids attract more rows, and clusters
            stay empty.
        seed: of the starts.

    Raises:
        ValueError: if there is no clustering or an empty one, a count is out of its range, or the bank is of another
            table; by `prepare` and `write`, if there are more clusters than rows.

    Papers: PCL, ICLR 2021, arXiv 2005.04966 (an epoch's features, k-means of 20 iterations, the best of 5 starts);
    MEOW, SDM 2023 (all rows in every epoch).
    """

    writes: Tensor
    clustered: Tensor

    def __init__(
        self,
        source: str,
        clusters: Sequence[int],
        bank: Memory | None = None,
        every: int = 1,
        warm_up: int = 0,
        iterations: int = 10,
        start: Literal["fresh", "same", "warm"] = "fresh",
        temperature: float = 0.2,
        measure: Literal["distance", "similarity"] = "distance",
        smoothing: float = 10.0,
        spherical: bool = True,
        seed: int = 0,
    ):
        super().__init__(source, when="before-pairs")
        if not clusters or min(clusters) < 1:
            raise ValueError(
                f"clusters = {list(clusters)}: at least one clustering of at least one cluster is needed, "
                "for example [100, 300]."
            )
        if every < 1 or warm_up < 0:
            raise ValueError(f"every = {every} must be at least 1, and warm_up = {warm_up} not negative.")
        if bank is not None and bank.source != source:
            raise ValueError(f"The bank remembers '{bank.source}', but clusters are of '{source}': name one table.")
        self.clusters, self.bank, self.every, self.warm_up = tuple(clusters), bank, every, warm_up
        self.iterations, self.start, self.spherical, self.seed = iterations, start, spherical, seed
        self.temperature, self.measure, self.smoothing = temperature, measure, smoothing
        self.needs = (source,) if bank is None else tuple(bank.needs)
        self.register_buffer("writes", torch.tensor(0))
        self.register_buffer("clustered", torch.tensor(False))

    def prepare(self, flow: Flow) -> None:
        """Make the buffers in the size of the rows."""
        rows = at_least_float32(flow[self.source].z)
        if self.bank is None:
            self._check(len(rows))
        else:
            self.bank.prepare(flow)
        for m, k in enumerate(self.clusters):
            self.register_buffer(f"centroids_{m}", rows.new_zeros(k, rows.shape[1]))
            self.register_buffer(f"concentration_{m}", rows.new_ones(k))

    @torch.no_grad()
    def write(self, rows: Embeddings) -> None:
        """Take the rows into the bank if there is one, and cluster anew if it is time."""
        if self.bank is not None:
            self.bank.write(rows)
        number = int(self.writes)
        if number >= self.warm_up and (number - self.warm_up) % self.every == 0:
            self._cluster(rows if self.bank is None else self.bank.read(), number)
        self.writes.add_(1)

    def _cluster(self, rows: Embeddings, number: int) -> None:
        warm = self.start == "warm" and bool(self.clustered)
        if not warm:
            self._check(len(rows))
        z = functional.normalize(rows.z.to(self._centroids(0)), dim=1)
        # A function of the count, which is saved: a resumed run draws what the uninterrupted one would have drawn.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + (number if self.start == "fresh" else 0))
        for m, k in enumerate(self.clusters):
            before = self._centroids(m) if warm else None
            found = inner_product_kmeans(z, k, self.iterations, generator, before, self.spherical)
            self.set_centroids(m, found, z)

    def _check(self, rows: int) -> None:
        if max(self.clusters) > rows:
            wait = "" if self.bank is None else " in the bank; a longer warm_up lets it fill"
            raise ValueError(f"clusters = {list(self.clusters)}: there are only {rows} rows to cluster{wait}.")

    @torch.no_grad()
    def set_centroids(self, m: int, centroids: Tensor, rows: Tensor) -> None:
        """Take the raw centroids (K_m, d) of clustering m, and its concentrations from the unit rows (n, d)."""
        reference = functional.normalize(centroids, dim=1) if self.measure == "distance" else centroids
        index, inner = assign(rows, centroids)
        if self.measure == "distance":
            inner = (rows * reference[index]).sum(1)
        phi = concentration(inner, index, len(centroids), self.temperature, self.measure, self.smoothing)
        self._centroids(m).copy_(centroids)
        self.get_buffer(f"concentration_{m}").copy_(phi)
        self.clustered.fill_(True)

    @torch.no_grad()
    def assignments(self, rows: Tensor) -> Tensor:
        """The cluster of each row (n, d) by the present centroids, in each clustering: (n, M) int64."""
        z = rows.detach().to(self._centroids(0))
        found = torch.stack([assign(z, self._centroids(m))[0] for m in range(len(self.clusters))], dim=1)
        return torch.where(self.clustered, found, -1)

    @torch.no_grad()
    def read(self) -> Embeddings:
        """All prototypes, clustering after clustering: a copy, so that writing later can't spoil a gradient."""
        tables = []
        for m, k in enumerate(self.clusters):
            z = functional.normalize(self._centroids(m), dim=1)
            columns: dict[str, Tensor | int] = {
                "clustering": m,
                "cluster": torch.arange(k),
                "concentration": self.get_buffer(f"concentration_{m}").clone(),
            }
            tables.append(Embeddings.of(z, source="prototype", **columns))
        return cat(tables).select(self.clustered.expand(sum(self.clusters)))

    def _centroids(self, m: int) -> Tensor:
        return self.get_buffer(f"centroids_{m}")
