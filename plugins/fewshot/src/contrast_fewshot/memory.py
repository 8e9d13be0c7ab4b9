"""DyCE: a queue of embeddings, in partitions of equal size that follow the embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.clustering import assign, inner_product_kmeans
from contrast_core.embeddings import Embeddings
from contrast_core.memories.places import Places
from contrast_fewshot.partitions import means, nearest_within
from contrast_fewshot.transport import balanced_assignment, check_sinkhorn


@final
class DyCE(Places):
    """The last `size` rows, scaled to unit length, each in the partition of one of K prototypes.

    Once the queue is full, k-means finds the prototypes. From then on the rows of a batch get partitions by balanced
    optimal transport: row i goes to argmax_k of `balanced_assignment` of the cosines with the prototypes, so that every
    prototype gets about equally many. Then each prototype becomes

        c_k <- momentum c_k + (1 - momentum) mean of the rows in partition k        (an empty one stays)

    `nearest` searches the partition whose prototype is nearest to a query, and the whole queue where that partition has
    fewer than k rows, or before the queue was full. Rows are written after the step, so that none retrieves itself or
    its own other view of that step; what was remembered of the same image in an earlier step it may well find.

    This is what the paper describes. The authors' code does otherwise; see `PublishedDyCE`.

    Args:
        source: the table whose rows are written, usually the teacher's of all views.
        size: how many rows are kept; dimension: d of them.
        prototypes: K; 0 for a plain queue that is always searched whole, as NNCLR's.
        epsilon, iterations: of the balanced assignment.
        momentum: of the prototypes, from 0 to below 1.
        recluster: k-means anew after so many writes; 0 for never but when all rows fell into one partition.
        start: how many writes come before the first retrieval; see `ready`.
        columns: what else is remembered of a row; a `label` is only used to measure how pure neighbours are.
        seed: of k-means.

    Raises:
        ValueError: if a number is out of its range; in use, if rows have another dimension or lack a column.

    Paper: Poulakakis-Daktylidis and Jamali-Rad, BECLR, ICLR 2024, arXiv 2402.02444.
    """

    pointer: Tensor
    filled: Tensor
    writes: Tensor
    partition: Tensor
    centres: Tensor
    clustered: Tensor

    def __init__(
        self,
        source: str = "teacher",
        size: int = 2400,
        dimension: int = 128,
        prototypes: int = 60,
        epsilon: float = 0.05,
        iterations: int = 10,
        momentum: float = 0.0,
        recluster: int = 0,
        start: int = 0,
        columns: Sequence[str] = (),
        seed: int = 0,
    ):
        super().__init__(source, "after-update", size, dimension, columns, random=False, normalise=True, seed=seed)
        check_sinkhorn(epsilon, iterations)
        if not 0 <= prototypes <= size:
            raise ValueError(f"prototypes = {prototypes} must be from 0 to the memory's size, {size}.")
        if not 0 <= momentum < 1 or recluster < 0 or start < 0:
            raise ValueError(
                f"momentum = {momentum} must be from 0 to below 1, recluster = {recluster} and start = {start} from 0."
            )
        self.size, self.prototypes, self.epsilon, self.iterations = size, prototypes, epsilon, iterations
        self.momentum, self.recluster, self.start, self.seed = momentum, recluster, start, seed
        for name in ("pointer", "filled", "writes"):
            self.register_buffer(name, torch.tensor(0))
        self.register_buffer("partition", torch.full((size,), -1))
        self.register_buffer("centres", torch.zeros(prototypes, dimension))
        self.register_buffer("clustered", torch.tensor(False))

    @torch.no_grad()
    def write(self, rows: Embeddings) -> None:
        """Take the rows in place of the oldest, give them partitions, and move the prototypes."""
        self._check(rows)
        z = self._rows(rows)
        labels = torch.full((len(z),), -1, device=z.device)
        if bool(self.clustered) and len(z):
            scores = z @ functional.normalize(self.centres, dim=1).t()
            labels = balanced_assignment(scores, self.epsilon, self.iterations).argmax(1)
        last = torch.arange(len(z), device=z.device)[-self.size :]
        places = (self.pointer + last) % self.size
        self._put(places, z[last], rows.select(last))
        self.partition[places] = labels[last]
        self.pointer.copy_((self.pointer + len(z)) % self.size)
        self.filled.copy_((self.filled + len(z)).clamp(max=self.size))
        self.writes.add_(1)
        if bool(self.clustered):
            moved = means(self.rows, self.partition, self.centres)
            self.centres.mul_(self.momentum).add_(moved, alpha=1 - self.momentum)
        if self._due():
            self._cluster()

    def _due(self) -> bool:
        if not self.prototypes or int(self.filled) < self.size:
            return False
        again = self.recluster and int(self.writes) % self.recluster == 0
        alike = self.prototypes > 1 and bool((self.partition == self.partition[0]).all())
        return bool(not self.clustered or again or alike)

    def _cluster(self) -> None:
        # A function of the count, which is saved: a resumed run draws what the uninterrupted one would have drawn.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.writes))
        centres = inner_product_kmeans(self.rows, self.prototypes, 25, generator)
        self.centres.copy_(centres)
        self.partition.copy_(assign(self.rows, centres)[0])
        self.clustered.fill_(True)

    def ready(self, k: int) -> bool:
        """Whether `start` writes have come and k rows are there to be retrieved."""
        return bool(self.writes >= self.start) and bool(self.filled >= k)

    @torch.no_grad()
    def nearest(self, queries: Tensor, k: int) -> Tensor:
        """The rows of `read` nearest to each query (n, d) by cosine, the nearest first: (n, k) int64.

        Raises:
            ValueError: if fewer than k rows were written.
        """
        filled = int(self.filled)
        unit = functional.normalize(queries.detach().to(self.rows), dim=1)
        if bool(self.clustered):
            wanted = assign(unit, functional.normalize(self.centres, dim=1))[0]
        else:
            wanted = torch.zeros(len(unit), dtype=torch.int64, device=unit.device)
        partition = self.partition[:filled] if bool(self.clustered) else self.partition[:filled].clamp(min=0)
        return nearest_within(unit, wanted, self.rows[:filled], partition, k)

    def read(self) -> Embeddings:
        """A copy of the rows in the order of their places, with `sample`, `partition` (-1: none yet) and `source`."""
        places = torch.arange(int(self.filled), device=self.rows.device)
        return self._given(places).with_columns(partition=self.partition[places].clone(), source="memory")
