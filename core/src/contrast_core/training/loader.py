"""Batches in an order that depends on the seed and the epoch alone, so that a position says where to go on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from contrast_core.interfaces import Data, Flow
from contrast_core.recipe import Training


class _Batches(Dataset[Flow]):
    """The batches of one epoch as a data set, so that loader processes can make them ahead."""

    def __init__(self, data: Data, groups: list[torch.Tensor]):
        self.data, self.groups = data, groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, number: int) -> Flow:
        return self.data.batch(self.groups[number])


def batches_per_epoch(data: Data, training: Training) -> int:
    """How many steps an epoch has; a last batch of one item, with nothing to compare, is left out."""
    if data.whole:
        return 1
    full, rest = divmod(len(data), training.batch_size)
    return full + (rest > 1)


def batches(data: Data, training: Training, epoch: int, start: int = 0) -> Iterator[Flow]:
    """The batches of an epoch from number `start` on."""
    if data.whole:
        yield from (data.batch(torch.arange(len(data))) for _ in range(start, 1))
        return
    generator = torch.Generator().manual_seed(training.seed * 1_000_003 + epoch)
    order = torch.randperm(len(data), generator=generator)
    groups = list(order.split(training.batch_size))[start : batches_per_epoch(data, training)]
    # Loader processes get their seeds from this generator, never from the global one: resuming must not move it.
    yield from DataLoader(
        _Batches(data, groups), batch_size=None, num_workers=training.workers, generator=generator
    )
