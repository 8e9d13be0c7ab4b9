"""What every evaluator asks of its input, and the sentences that say what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.errors import did_you_mean
from contrast_core.interfaces import Data


class Labelled(NamedTuple):
    """An embedding (n, d) float64 and its classes (n,) int64, -1 where unknown."""

    rows: NDArray[numpy.float64]
    labels: NDArray[numpy.int64]


class Parts(NamedTuple):
    """Row numbers of the labelled items of one split."""

    train: NDArray[Any]
    val: NDArray[Any]
    test: NDArray[Any]


def labelled(embedding: Embeddings, data: Data) -> Labelled:
    """The embedding and the data's labels as arrays.

    Raises:
        ValueError: if there are no labels, they are not one a row, or the embedding is not finite.
    """
    labels = data.labels
    if labels is None:
        raise ValueError("The data set has no labels to score against; give it some, or leave this evaluation out.")
    z = embedding.z.detach().cpu()
    if labels.shape != z.shape[:1]:
        raise ValueError(f"There are {len(z)} embedded items but labels of shape {tuple(labels.shape)}: one an item.")
    if not bool(z.isfinite().all()):
        bad = int((~z.isfinite().flatten(1).all(1)).sum())
        raise ValueError(f"The embedding of {bad} of {len(z)} items is NaN or infinite; there is nothing to score.")
    if not bool((labels >= 0).any()):
        raise ValueError("No item of the data set has a known label; there is nothing to score against.")
    return Labelled(z.double().flatten(1).numpy(), labels.cpu().numpy())


def splits_of(data: Data, wanted: Sequence[str], labels: NDArray[Any], *, val: bool = False) -> dict[str, Parts]:
    """The wanted splits (all, if none is named), without items of unknown label.

    Args:
        data: whose splits.
        wanted: their names.
        labels: (n,), -1 where unknown.
        val: whether the validation rows are used too and may not be empty.

    Raises:
        ValueError: if there is no split, none of that name, a row that does not exist, or an empty part.
    """
    if not data.splits:
        raise ValueError("The data set has no splits to train and test a classifier on; leave this evaluation out.")
    found = {}
    for name in wanted or data.splits:
        if name not in data.splits:
            have = ", ".join(data.splits)
            raise ValueError(f"The data set has no split '{name}', only {have}.{did_you_mean(name, data.splits)}")
        split = data.splits[name]
        parts = Parts(*(_known(part, labels, name) for part in (split.train, split.val, split.test)))
        for title, part in parts._asdict().items():
            if len(part) == 0 and (val or title != "val"):
                raise ValueError(f"The {title} part of split '{name}' has no labelled item; change the split.")
        if len(set(labels[parts.train])) < 2:
            raise ValueError(f"The train part of split '{name}' has items of one class only; change the split.")
        found[name] = parts
    return found


def _known(part: Tensor, labels: NDArray[Any], name: str) -> NDArray[Any]:
    rows: NDArray[Any] = part.cpu().numpy()
    if len(rows) and not (rows.min() >= 0 and rows.max() < len(labels)):
        raise ValueError(f"Split '{name}' names row {rows.max()}, but there are {len(labels)} items, numbered from 0.")
    known: NDArray[Any] = rows[labels[rows] >= 0]
    return known
