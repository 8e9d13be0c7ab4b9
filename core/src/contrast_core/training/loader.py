"""Batches that depend on the seed, the epoch and their number alone, so that a position says where to go on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch
from torch.utils.data import DataLoader, Dataset

from contrast_core.interfaces import Data, Flow
from contrast_core.plan import Training

_STRIDE = 1_000_003


class _Batches(Dataset[Flow]):
    """The batches of one epoch as a data set, so that loader processes can make them ahead."""

    def __init__(self, data: Data, groups: list[torch.Tensor], first: int, seed: int):
        self.data, self.groups, self.first, self.seed = data, groups, first, seed

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, number: int) -> Flow:
        # A data set that draws random numbers gives the same batch in this process, in a loader process (whose
        # generators are its own) and after a resume; and it never moves the generators of the training.
        with _drawing_from((self.seed * _STRIDE + self.first + number) % 2**63):
            return self.data.batch(self.groups[number])


def batches_per_epoch(data: Data, training: Training) -> int:
    """How many steps an epoch has; a last batch of one item, with nothing to compare, is left out."""
    if data.whole:
        return 1
    full, rest = divmod(len(data), training.batch_size)
    return full + (rest > 1)


def batches(data: Data, training: Training, epoch: int, start: int = 0) -> Iterator[Flow]:
    """The batches of an epoch from number `start` on."""
    seed = (training.seed * _STRIDE + epoch) % 2**63
    generator = torch.Generator().manual_seed(seed)
    if data.whole:
        groups = [torch.arange(len(data))][start:]
    else:
        order = torch.randperm(len(data), generator=generator)
        groups = list(order.split(training.batch_size))[start : batches_per_epoch(data, training)]
    made = _Batches(data, groups, start, seed)
    if data.whole or training.workers == 0:
        yield from (made[number] for number in range(len(made)))
    else:
        # With a generator of its own the loader does not draw its base seed from the global one.
        yield from DataLoader(made, batch_size=None, num_workers=training.workers, generator=generator)


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """The CPU's global generators seeded, and afterwards as they were."""
    kept = torch.get_rng_state(), numpy.random.get_state(), random.getstate()
    # torch.manual_seed would seed the GPUs too.
    torch.default_generator.manual_seed(seed)
    numpy.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        numpy.random.set_state(kept[1])
        random.setstate(kept[2])
