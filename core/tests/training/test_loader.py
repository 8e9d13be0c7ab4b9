"""Batches: their order, where an epoch goes on, and random generators left alone."""

from __future__ import annotations

import random
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from contrast_core.recipe import Training
from contrast_core.training.loader import batches, batches_per_epoch


def samples(data: Any, training: Training, epoch: int, start: int = 0) -> list[list[int]]:
    """The items of each batch."""
    return [batch["sample"].tolist() for batch in batches(data, training, epoch, start)]


def test_an_epoch_shows_every_item_once_in_an_order_of_its_own(parts: SimpleNamespace) -> None:
    """Sizes 4, 4, 2; other epochs and seeds, other orders."""
    training = Training(batch_size=4, seed=3)
    first = samples(parts.Rows(), training, 0)
    assert [len(each) for each in first] == [4, 4, 2]
    assert sorted(chain(*first)) == list(range(10))
    assert samples(parts.Rows(), training, 0) == first
    assert samples(parts.Rows(), training, 1) != first
    assert samples(parts.Rows(), Training(batch_size=4, seed=4), 0) != first


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_a_start_in_the_middle_gives_the_rest_of_the_epoch(parts: SimpleNamespace, start: int) -> None:
    """Batches are a suffix, values included, even if the data draw random numbers."""
    data, training = parts.Rows(drawing=True), Training(batch_size=4)
    whole = list(batches(data, training, 5))
    torch.manual_seed(99)
    rest = list(batches(data, training, 5, start))
    assert len(rest) == 3 - start
    for expected, found in zip(whole[start:], rest, strict=True):
        assert torch.equal(expected["x"], found["x"])
        assert torch.equal(expected["sample"], found["sample"])


@pytest.mark.parametrize(("items", "size", "expected"), [(9, 4, 2), (8, 4, 2), (10, 4, 3), (1, 4, 0), (3, 8, 1)])
def test_a_last_batch_of_one_item_is_left_out(parts: SimpleNamespace, items: int, size: int, expected: int) -> None:
    """It has nothing to be compared with."""
    data, training = parts.Rows(items), Training(batch_size=size)
    assert batches_per_epoch(data, training) == expected == len(samples(data, training, 0))


def test_a_whole_data_set_is_one_batch_in_its_own_order(parts: SimpleNamespace) -> None:
    """A graph: one step an epoch, nothing left after it."""
    data, training = parts.Rows(whole=True), Training(batch_size=4)
    assert batches_per_epoch(data, training) == 1
    assert samples(data, training, 7) == [list(range(10))]
    assert samples(data, training, 7, start=1) == []


def test_loader_processes_give_the_same_batches(parts: SimpleNamespace) -> None:
    """Also in the middle of an epoch, and where batches are random."""
    data = parts.Rows(drawing=True)
    here = list(batches(data, Training(batch_size=4), 2, 1))
    there = list(batches(data, Training(batch_size=4, workers=1), 2, 1))
    assert len(here) == len(there) == 2
    assert all(torch.equal(a["x"], b["x"]) for a, b in zip(here, there, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("whole", [False, True])
def test_global_generators_are_left_alone(parts: SimpleNamespace, workers: int, whole: bool) -> None:
    """torch's, numpy's and Python's, though the data draw from torch's."""
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    expected = torch.rand(1), np.random.random(), random.random()
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    for _ in batches(parts.Rows(whole=whole, drawing=True), Training(batch_size=4, workers=workers), 0):
        pass
    assert (torch.rand(1), np.random.random(), random.random()) == expected


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_any_seed_will_do(parts: SimpleNamespace, seed: int) -> None:
    """Large ones are no overflow."""
    assert len(samples(parts.Rows(), Training(batch_size=4, seed=seed), 10**6)) == 3


def test_data_may_draw_their_batches_themselves(parts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours in a random order, another one in each epoch; a single item is left out; an epoch goes on anywhere."""
    asked = []

    def drawn(self: Any, batch_size: int, generator: torch.Generator) -> list[torch.Tensor]:
        asked.append(batch_size)
        couples = [torch.tensor([2 * n, 2 * n + 1]) for n in torch.randperm(4, generator=generator).tolist()]
        return [*couples, torch.tensor([9])]

    monkeypatch.setattr(parts.Rows, "drawn", drawn)
    data, training = parts.Rows(), Training(batch_size=7)
    first = samples(data, training, 0)
    assert sorted(first) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert first != samples(data, training, 1)
    assert samples(data, training, 0, start=1) == first[1:]
    assert batches_per_epoch(data, training) == 4
    assert set(asked) == {7}
