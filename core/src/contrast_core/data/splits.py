"""Seeded splits into training, validation and test rows, with every class in proportion."""

from __future__ import annotations

import torch
from torch import Tensor

from contrast_core.interfaces import Split


def seeded_split(labels: Tensor, validation: float, test: float, seed: int) -> Split:
    """Rows to train, to choose and to test on; the same for the same arguments, whatever else was drawn.

    The sizes are exact: round(n validation), round(n test) and the rest. Within these, every class is spread
    over the three parts in proportion, as well as whole numbers allow; a class of one row falls anywhere.

    Args:
        labels: (n,) int64, the class of each row; all the same where there are none.
        validation: fraction of rows to choose on, in [0, 1).
        test: fraction of rows to test on, in [0, 1); both together less than 1.
        seed: of the order.

    Raises:
        ValueError: if the fractions leave nothing to train on.
    """
    check_fractions(validation, test)
    generator = torch.Generator().manual_seed(seed)
    place = torch.empty(len(labels), dtype=torch.float64)
    for value in torch.unique(labels):
        rows = (labels == value).nonzero().squeeze(1)
        rank = torch.randperm(len(rows), generator=generator).double()
        # Evenly spaced places in [0, 1), from a random start: then any interval holds its share of the class.
        place[rows] = (rank + torch.rand((), generator=generator, dtype=torch.float64)) / len(rows)
    order = place.argsort(stable=True)
    tested, chosen = round(len(labels) * test), round(len(labels) * validation)
    parts = torch.tensor_split(order, [tested, tested + chosen])
    return Split(train=parts[2].sort().values, val=parts[1].sort().values, test=parts[0].sort().values)


def grouped_split(labels: Tensor, groups: Tensor, validation: float, test: float, seed: int) -> Split:
    """The same of groups, for example of patients: all rows of a group fall into one part.

    The fractions are of the groups. A group counts as of its highest class.

    Args:
        labels: (n,) int64, the class of each row; all the same where there are none.
        groups: (n,) int64, the group of each row.
        validation: fraction of groups to choose on, in [0, 1).
        test: fraction of groups to test on, in [0, 1); both together less than 1.
        seed: of the order.

    Raises:
        ValueError: if the fractions leave nothing to train on.
    """
    found, of_row = groups.unique(return_inverse=True)
    highest = torch.zeros(len(found), dtype=labels.dtype).scatter_reduce(0, of_row, labels, "amax", include_self=False)
    split = seeded_split(highest, validation, test, seed)
    return Split(*(torch.isin(of_row, part).nonzero().squeeze(1) for part in (split.train, split.val, split.test)))


def check_fractions(validation: float, test: float) -> None:
    """Raise ValueError unless both fractions are in [0, 1) and leave something to train on."""
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise ValueError(
            f"validation = {validation} and test = {test} must be fractions, from 0 and together less than 1."
        )
