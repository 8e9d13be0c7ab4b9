"""Exemplars drawn at random."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from contrast_core.continual.quota import ByClass
from contrast_core.embeddings import Embeddings
from contrast_core.tasks import InBatch


@final
class RandomRehearsal(ByClass):
    """Of each class a uniformly drawn subset of all its items that were ever offered.

    Every item of the data has a rank r_i, a permutation that the seed draws; the m smallest of each class are kept. An
    item that was dropped would be dropped again, so that what is kept is drawn from all that came, not only from the
    last.

    Args:
        per_class, total, share: how many items are kept, of each class, in all, or of the training items, for which
            floor(share * items / classes) of each class are kept; one of the three.
        in_batch: kept items that join each batch of a later task, or "once".
        seed: of the ranks.

    Raises:
        ValueError: for numbers that make no sense.
    """

    def __init__(
        self,
        per_class: int | None = None,
        total: int | None = None,
        share: float | None = None,
        in_batch: InBatch = 32,
        seed: int = 0,
    ):
        super().__init__(per_class, total, share, in_batch, seed)
        self._items = 0

    def begin(self, items: int, classes: int, training: int) -> None:
        """Make room; ranks are drawn whenever they are needed."""
        super().begin(items, classes, training)
        self._items = items

    def order(self, rows: Embeddings, most: int) -> Tensor:
        """Row numbers by rank."""
        sample = rows["sample"].cpu()
        size = max(self._items, int(sample.max()) + 1)
        rank = torch.randperm(size, generator=torch.Generator().manual_seed(self.seed))
        return rank[sample].argsort()[:most].to(rows.device)
