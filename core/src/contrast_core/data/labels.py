"""Labels of one's own data: from texts to numbers, split in proportion, shown or not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from contrast_core.data.splits import seeded_split
from contrast_core.interfaces import Split


def ordered(texts: Sequence[str]) -> tuple[list[str], Tensor]:
    """The classes in order, whole numbers by size and otherwise by alphabet, and each text's number, -1 for ""."""
    found = {text for text in texts if text}
    try:
        classes = sorted(found, key=int)
    except ValueError:
        classes = sorted(found)
    numbers = {name: place for place, name in enumerate(classes)} | {"": -1}
    return classes, torch.tensor([numbers[text] for text in texts])


def split_by_label(count: int, labels: Tensor | None, validation: float, test: float, seed: int) -> Split:
    """A seeded split with every class in proportion; items of unknown label train."""
    labels = torch.zeros(count, dtype=torch.int64) if labels is None else labels
    known, unknown = (labels >= 0).nonzero().squeeze(1), (labels < 0).nonzero().squeeze(1)
    split = seeded_split(labels[known], validation, test, seed)
    train = torch.cat([known[split.train], unknown]).sort().values
    return Split(train=train, val=known[split.val], test=known[split.test])


def shown_labels(labels: Tensor, split: Split, shown: str) -> Tensor:
    """The labels of the "train" items, of "all" or "none"; -1 elsewhere."""
    rows = {"train": split.train, "all": torch.arange(len(labels)), "none": torch.arange(0)}[shown]
    kept = torch.full_like(labels, -1)
    kept[rows] = labels[rows]
    return kept
