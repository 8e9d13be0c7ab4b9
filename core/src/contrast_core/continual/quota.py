"""Stores that keep so many items of each class."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.tasks import InBatch, Rehearsal


class ByClass(Rehearsal):
    """The first m in an order of each class's offered items.

        m = per_class,   or total // (classes seen so far),   or floor(share * training items) // (classes of all tasks)

    With `total` the share of a class shrinks as classes come; as long as the order is kept, by dropping the last ones.

    Args:
        per_class, total, share: one of them; 0 keeps nothing.
        in_batch, seed: see `contrast_core.tasks.Rehearsal`.

    Raises:
        ValueError: unless one of per_class, total and share is given, at least 0 (and a share at most 1); in use, if
            the total or the share is less than one item a class.
    """

    def __init__(self, per_class: int | None, total: int | None, share: float | None, in_batch: InBatch, seed: int):
        super().__init__(in_batch, seed)
        given = [number for number in (per_class, total, share) if number is not None]
        if len(given) != 1 or given[0] < 0:
            raise ValueError("Give one of per_class, total and share, at least 0: how many items are kept.")
        if share is not None and share > 1:
            raise ValueError(f"share = {share} of the training items must be at most 1.")
        self.per_class, self.total, self.share = per_class or 0, total, share

    def begin(self, items: int, classes: int, training: int) -> None:
        """Make room; a share of the training items becomes so many of each class."""
        if self.share is not None:
            self.per_class = int(self.share * training) // max(1, classes)
            if self.share and not self.per_class:
                raise ValueError(
                    f"share = {self.share} of {training} training items is less than one item of each of the "
                    f"{classes} classes."
                )
        super().begin(items, classes, training)

    @abstractmethod
    def order(self, rows: Embeddings, most: int) -> Tensor:
        """Row numbers of the best of one class's rows, at most so many, the best first."""

    @final
    def capacity(self, classes: int) -> int:
        """The total, or so many of each."""
        return self.total if self.total is not None else self.per_class * classes

    @final
    def choose(self, rows: Embeddings) -> Tensor:
        """The best of each class."""
        labels = rows["label"].unique()
        if self.total is None:
            most = self.per_class
        else:
            most = self.total // max(1, len(labels))
            if self.total and not most:
                raise ValueError(f"total = {self.total} is less than one item of each of the {len(labels)} classes.")
        if not most:
            return rows["sample"][:0]
        chosen = []
        for label in labels:
            own = rows.select(rows["label"] == label)
            chosen.append(own["sample"][self.order(own, most)[:most]])
        return torch.cat(chosen) if chosen else rows["sample"]
