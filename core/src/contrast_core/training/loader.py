"""Batches that depend on the seed, the epoch and their number alone, so that a position says where to go on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch
from torch.utils.data import DataLoader, Dataset

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data, Flow
from contrast_core.plan import Training
from contrast_core.training.processes import Alone

_STRIDE = 1_000_003


class _Batches(Dataset[Flow]):
    """The batches of one epoch as a data set, so that loader processes can make them ahead."""

    def __init__(self, data: Data, groups: list[torch.Tensor], first: int, seed: int, rank: int):
        self.data, self.groups, self.first, self.seed, self.rank = data, groups, first, seed, rank

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, number: int) -> Flow:
        # A data set that draws random numbers gives the same batch in this process, in a loader process (whose
        # generators are its own) and after a resume; and it never moves the generators of the training.
        seed = self.seed * _STRIDE + self.first + number + self.rank * _STRIDE**2
        with _drawing_from(seed % 2**63):
            return self.data.batch(self.groups[number])


def training_items(data: Data) -> torch.Tensor:
    """The numbers of the items that training draws."""
    wanted = data.training_items
    return torch.arange(len(data)) if wanted is None else wanted


def batches_per_epoch(data: Data, training: Training, processes: int = 1) -> int:
    """How many steps an epoch has; a last batch is left out if it has one item, or less than one a process.

    Raises:
        ContrastError: if a batch has less than one item a process.
    """
    if data.whole:
        return 1
    if training.batch_size < processes:
        raise ContrastError(
            f"[training] batch_size = {training.batch_size} is that of all {processes} processes together: each needs "
            "at least one item."
        )
    drawn = data.drawn(training.batch_size, torch.Generator())
    groups = training_items(data).split(training.batch_size) if drawn is None else drawn
    return sum(len(group) >= max(2, processes) for group in groups)


def batches(
    data: Data, training: Training, epoch: int, start: int = 0, processes: Alone | None = None
) -> Iterator[Flow]:
    """The batches of an epoch from number `start` on; of several processes, this one's share of each."""
    processes = processes or Alone()
    seed = (training.seed * _STRIDE + epoch) % 2**63
    generator = torch.Generator().manual_seed(seed)
    if data.whole:
        groups = [torch.arange(len(data))][start:]
    else:
        groups = _groups(data, training.batch_size, generator, max(2, processes.size))[start:]
    rank = 0 if data.whole else processes.rank
    made = _Batches(data, [processes.share(group) for group in groups], start, seed, rank)
    if data.whole or training.workers == 0:
        yield from (made[number] for number in range(len(made)))
    else:
        # With a generator of its own the loader does not draw its base seed from the global one.
        yield from DataLoader(made, batch_size=None, num_workers=training.workers, generator=generator)


def _groups(data: Data, size: int, generator: torch.Generator, least: int) -> list[torch.Tensor]:
    """The item numbers of an epoch's batches; those of less than `least` items are left out."""
    drawn = data.drawn(size, generator)
    if drawn is None:
        items = training_items(data)
        drawn = items[torch.randperm(len(items), generator=generator)].split(size)
    return [group for group in drawn if len(group) >= least]


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
