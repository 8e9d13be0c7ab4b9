"""Samples of next-item prediction: a history and the item that follows it, split by leaving one out."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from contrast_recommendation.data.sequences import Sequences

EVALUATED = 3
"""Interactions that a user needs for a history, a validation item and a test item."""


@final
@frozen(eq=False)
class Samples:
    """N samples: training first, then one validation and one test sample of each evaluated user, users in order.

    Args:
        items: (n,) int64, all sequences end to end.
        start: (N,) int64, where the sequence of a sample's user begins in items.
        stop: (N,) int64, where its target is; its history is items[start : stop], of which the last `max_length` count.
        user: (N,) int64.
        train, validation, test: numbers of the samples, int64.
        max_length: most items of a history.
    """

    items: Tensor
    start: Tensor
    stop: Tensor
    user: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    max_length: int

    def histories(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """item_seq (B, max_length) int64, items first and zeros after, and length (B,) int64."""
        stop = self.stop[samples]
        begin = torch.maximum(self.start[samples], stop - self.max_length)
        place = begin[:, None] + torch.arange(self.max_length)
        inside = place < stop[:, None]
        return self.items[place.clamp(max=len(self.items) - 1)] * inside, stop - begin

    def targets(self, samples: Tensor) -> Tensor:
        """The items that follow, (B,) int64."""
        return self.items[self.stop[samples]]

    def seen(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Everything before the targets, however long: row numbers 0..B-1 and item ids, int64, one pair each."""
        start, stop = self.start[samples], self.stop[samples]
        counts = stop - start
        rows = torch.arange(len(samples)).repeat_interleave(counts)
        first = (start - (counts.cumsum(0) - counts)).repeat_interleave(counts)
        return rows, self.items[first + torch.arange(len(rows))]


def leave_one_out(found: Sequences, max_length: int) -> Samples:
    """Every prefix as a training sample for the item that follows; the last item tests, the one before validates.

    Of a sequence s_1 ... s_m the training samples are (s_1..s_k, s_{k+1}) for k = 1..m-3, the validation sample is
    (s_1..s_{m-2}, s_{m-1}), the test sample (s_1..s_{m-1}, s_m). A user with fewer than 3 interactions only trains.

    Raises:
        ValueError: if there is nothing to train on or nobody to evaluate.
    """
    counts = np.diff(found.starts)
    evaluated = np.flatnonzero(counts >= EVALUATED)
    if not len(evaluated):
        raise ValueError(
            f"No user has {EVALUATED} interactions or more, so none can be evaluated: one is the history, one "
            "validates, one tests."
        )
    prefixes = np.where(counts >= EVALUATED, counts - EVALUATED, counts - 1)
    if not prefixes.sum():
        raise ValueError(
            f"No user has more than {EVALUATED} interactions, so there is nothing to train on once one item of each "
            "validates and one tests."
        )
    user = np.repeat(np.arange(len(counts)), prefixes)
    within = np.arange(len(user)) - np.repeat(np.cumsum(prefixes) - prefixes, prefixes)
    last = found.starts[evaluated + 1] - 1
    users = np.concatenate([user, evaluated, evaluated])
    stops = np.concatenate([found.starts[user] + within + 1, last - 1, last])
    train, validation, test = torch.arange(len(users)).split([len(user), len(evaluated), len(evaluated)])
    return Samples(
        torch.from_numpy(found.items),
        torch.from_numpy(found.starts[users]),
        torch.from_numpy(stops),
        torch.from_numpy(users),
        train,
        validation,
        test,
        max_length,
    )
