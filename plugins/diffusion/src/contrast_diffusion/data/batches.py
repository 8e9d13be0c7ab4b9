"""Batches in which every subject is seen in several views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def views_of_subjects(
    subject: Tensor, items: Tensor, batch_size: int, views: int, generator: torch.Generator
) -> Sequence[Tensor]:
    """Items of the batches of an epoch: `views` different items of each of batch_size // views different subjects.

    There are max(1, len(items) // batch_size) batches. Where there are fewer subjects than that, each gives more
    items; a subject that has not as many gives all of its own.

    Args:
        subject: (N,) int64, the subject of every item of the data; items: (n,) int64, those that may be drawn.
        batch_size: most items of a batch.
        views: of a subject in a batch, at least 2: one view has no positive.
        generator: for what is drawn.

    Raises:
        ValueError: if a batch can't hold `views` views of one subject.
    """
    if batch_size < views:
        raise ValueError(
            f"batch_size = {batch_size} holds no {views} views of a subject: set training.batch_size to at least "
            f"{2 * views}."
        )
    kinds = subject[items].unique()
    own = [items[subject[items] == kind] for kind in kinds]
    each = max(views, -(-batch_size // len(kinds)))
    batches = []
    for _ in range(max(1, len(items) // batch_size)):
        chosen = torch.randperm(len(kinds), generator=generator)[: max(1, batch_size // each)]
        drawn = [own[k][torch.randperm(len(own[k]), generator=generator)[:each]] for k in chosen.tolist()]
        batches.append(torch.cat(drawn)[:batch_size])
    return batches
