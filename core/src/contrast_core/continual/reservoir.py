"""A reservoir: a uniform sample of a stream whose length nobody knows."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.tasks import InBatch, Rehearsal


@final
class Reservoir(Rehearsal):
    """A uniform sample of all items that came, whatever their class; classes with many items have many in it.

    Algorithm R: the first m items of the stream fill the places 0 ... m-1; the t-th after that (counted from 1, over
    all tasks) takes place p, drawn uniformly from 0 ... t-1, if p < m. A task's items come in random order.

    Args:
        total: m, how many items are kept; 0 keeps nothing.
        in_batch: kept items that join each batch of a later task, or "once".
        seed: of the order of the items and the places.

    Raises:
        ValueError: for numbers that make no sense.

    Paper: Vitter, Random Sampling with a Reservoir, ACM TOMS 11 (1985), doi:10.1145/3147.3165.
    """

    seen: Tensor

    def __init__(self, total: int, in_batch: InBatch = 32, seed: int = 0):
        super().__init__(in_batch, seed)
        if total < 0:
            raise ValueError(f"total = {total} must be at least 0: how many items are kept.")
        self.total = total
        self.register_buffer("seen", torch.tensor(0))

    def capacity(self, classes: int) -> int:
        """The total."""
        return self.total

    def choose(self, rows: Embeddings) -> Tensor:
        """Let the new items pass by."""
        samples, kept = rows["sample"].cpu(), rows["kept"].cpu() == 1
        places, fresh = samples[kept].tolist(), samples[~kept]
        # What is drawn depends on how many came before, so that nothing but that number is state.
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + int(self.seen)) % 2**63)
        for item in fresh[torch.randperm(len(fresh), generator=generator)].tolist():
            self.seen += 1
            if len(places) < self.total:
                places.append(item)
                continue
            place = int(torch.randint(int(self.seen), (), generator=generator))
            if place < self.total:
                places[place] = item
        return torch.tensor(places, dtype=torch.long)
