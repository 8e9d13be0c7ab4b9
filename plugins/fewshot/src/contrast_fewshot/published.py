"""DyCE as the authors' code has it, step by step: for comparison, not for use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.clustering import assign, inner_product_kmeans
from contrast_core.embeddings import Embeddings
from contrast_core.memories.places import Places
from contrast_fewshot.partitions import means
from contrast_fewshot.transport import balanced_assignment, check_sinkhorn, overflow_free


@final
class PublishedDyCE(Places):
    """The memory of stypoumic/BECLR@8b33581bee17e9e4e579ba3afb9f4807becc1b84 with what differs from the paper.

    1. With the metric "euclidean", their default, a prototype's score is its *distance*, so that rows go to far
       prototypes; and where exp(score / epsilon) overflows, epsilon is raised by 0.1 without a word.
    2. Neighbours are sought in the nearest partition, but their numbers within the partition are then taken as numbers
       of rows of the whole bank: the rows that are given are others.
    3. Rows are written before the retrieval, raw, so that a row mostly finds itself. The batch that meets the end of
       the bank is cut off there, and its rest is lost.
    4. After an empty partition, prototypes are divided by the size of another one: sums go by the partition's number,
       sizes by its rank among those that are not empty, with 0.001 for what is missing at the end.

    The k-means at the start is the core's spherical one; theirs is scikit-learn's, the best of ten.

    Args:
        source: the table whose rows are written, the first half of the first view, the second of the second.
        size: as they compute it, (scale K // rows + 1) rows + 1 for batches of so many rows.
        dimension, prototypes, epsilon, iterations, momentum, recluster, start, columns, seed: see `DyCE`.
        metric: "euclidean", the distance of unit rows, or "cosine", which has the right sign.

    Raises:
        ValueError: if a number is out of its range; in use, if a batch is larger than the bank.

    Paper: Poulakakis-Daktylidis and Jamali-Rad, BECLR, ICLR 2024, arXiv 2402.02444.
    """

    pointer: Tensor
    writes: Tensor
    partition: Tensor
    centres: Tensor
    clustered: Tensor
    searched: Tensor

    def __init__(
        self,
        source: str = "teacher",
        size: int = 2401,
        dimension: int = 128,
        prototypes: int = 60,
        epsilon: float = 0.05,
        iterations: int = 10,
        momentum: float = 0.0,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        recluster: int = 0,
        start: int = 0,
        columns: Sequence[str] = (),
        seed: int = 0,
    ):
        super().__init__(source, "before-pairs", size, dimension, columns, random=True, normalise=False, seed=seed)
        check_sinkhorn(epsilon, iterations)
        if not 1 <= prototypes <= size or not 0 <= momentum < 1 or recluster < 0 or start < 0:
            raise ValueError(
                f"prototypes = {prototypes} must be from 1 to {size}, momentum = {momentum} from 0 to below 1, "
                f"recluster = {recluster} and start = {start} from 0."
            )
        self.size, self.prototypes, self.epsilon, self.iterations = size, prototypes, epsilon, iterations
        self.momentum, self.metric, self.recluster, self.start, self.seed = momentum, metric, recluster, start, seed
        self.register_buffer("pointer", torch.tensor(0))
        self.register_buffer("writes", torch.tensor(0))
        self.register_buffer("partition", torch.full((size,), -1))
        self.register_buffer("centres", torch.zeros(prototypes, dimension))
        self.register_buffer("clustered", torch.tensor(False))
        # Before there are partitions, the bank is searched as it was before the batch was written.
        self.register_buffer("searched", self.rows.clone())

    @torch.no_grad()
    def write(self, rows: Embeddings) -> None:
        """Take the batch at the pointer; what does not fit before the end of the bank is lost."""
        self._check(rows)
        z = self._rows(rows)
        if len(z) >= self.size:
            raise ValueError(f"A batch of {len(z)} rows does not go into a memory of {self.size}; enlarge its size.")
        self._start_clusters(len(z))
        self.searched.copy_(self.rows)
        labels = self._labels(z) if bool(self.clustered) else torch.full((len(z),), -1, device=z.device)
        start = int(self.pointer)
        kept = torch.arange(min(len(z), self.size - start), device=z.device)
        self._put(start + kept, z[kept], rows.select(kept))
        self.partition[start + kept] = labels[kept]
        self.pointer.fill_(0 if start + len(z) >= self.size else start + len(z))
        if bool(self.clustered):
            fresh = means(self.rows, self.partition, self.centres, self._divisors())
            self.centres.copy_(fresh * (1 - self.momentum) + self.centres * self.momentum)
        self.writes.add_(1)

    def _start_clusters(self, batch: int) -> None:
        if not bool(self.clustered):
            due = int(self.pointer) + batch >= self.size
        else:
            again = self.recluster and int(self.writes) % self.recluster == 0
            due = bool(again) or len(self.partition.unique()) <= 1
        if not due:
            return
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.writes))
        unit = functional.normalize(self.rows, dim=1)
        centres = inner_product_kmeans(unit, self.prototypes, 25, generator)
        labels = assign(unit, centres)[0]
        if bool(self.clustered) and len(labels.unique()) < self.prototypes:
            return
        self.centres.copy_(centres)
        self.partition.copy_(labels)
        self.clustered.fill_(True)

    def _labels(self, z: Tensor) -> Tensor:
        unit, centres = functional.normalize(z, dim=1), functional.normalize(self.centres, dim=1)
        scores = unit @ centres.t()
        if self.metric == "euclidean":
            scores = torch.cdist(unit, centres, compute_mode="donot_use_mm_for_euclid_dist")
        epsilon = overflow_free(scores, self.epsilon)
        return balanced_assignment(scores, epsilon, self.iterations).argmax(1)

    def _divisors(self) -> Tensor:
        sizes = torch.bincount(self.partition, minlength=self.prototypes).to(self.rows)
        return torch.cat([sizes[sizes > 0], torch.full_like(sizes[sizes == 0], 0.001)])

    def ready(self, k: int) -> bool:
        """Whether `start` batches have been written, this one included."""
        return bool(self.writes > self.start) and self.size >= k

    @torch.no_grad()
    def neighbours(self, queries: Tensor, k: int) -> Tensor:
        """Numbers of the rows that are appended for each query (2B, d), first view then second: (2B, k) int64."""
        unit = functional.normalize(queries.detach().to(self.rows), dim=1)
        bank = functional.normalize(self.rows if bool(self.clustered) else self.searched, dim=1)
        similarity = unit @ bank.t()
        found = similarity.topk(k, dim=1).indices
        if not bool(self.clustered):
            return found
        wanted = assign(unit, functional.normalize(self.centres, dim=1))[0]
        for i, part in enumerate(wanted.tolist()):
            members = (self.partition == part).nonzero().squeeze(1)
            # The second view has < where the first has <=.
            if len(members) > k - (i >= len(queries) // 2):
                found[i] = similarity[i, members].topk(k).indices
        return found

    @torch.no_grad()
    def appended(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The rows that are appended to one view and the other, each (B k, d), and their numbers, in that order.

        All neighbours of the first row come first; before there are partitions, the first neighbours of all rows do.
        """
        numbers = torch.stack(self.neighbours(queries, k).chunk(2))
        ordered = numbers if bool(self.clustered) else numbers.transpose(1, 2)
        flat = ordered.reshape(2, -1)
        return (self.rows if bool(self.clustered) else self.searched)[flat], flat

    def read(self) -> Embeddings:
        """A copy of the whole bank, random rows included (`sample` -1), with `partition` and `source`."""
        places = torch.arange(self.size, device=self.rows.device)
        return self._given(places).with_columns(partition=self.partition.clone(), source="memory")
