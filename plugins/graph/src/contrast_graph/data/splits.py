"""Training, validation and test nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contrast_core.interfaces import Split


def draw_splits(
    y: Tensor, *, per_class: Sequence[int] = (20, 40, 60), held_out: int = 1000, seed: int = 0
) -> dict[str, Split]:
    """Nested training sets of n labels per class, with one validation and one test set shared by all of them.

    Args:
        y: labels (N,), -1 where unlabelled.
        per_class: the sizes n; each becomes the split ``str(n)``.
        held_out: size of val and of test; half of what is left each, where that is less.
        seed: of numpy's generator.

    Raises:
        ValueError: a class has too few labelled nodes, or nothing is left for val and test.
    """
    labels = y.cpu().numpy()
    rng = np.random.default_rng(seed)
    shuffled = {int(c): rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels[labels >= 0])}
    if not shuffled:
        raise ValueError("No target node has a label; set y to 0, 1, ... where a class is known.")
    most = max(per_class)
    for label, members in shuffled.items():
        if len(members) < most:
            raise ValueError(
                f"Class {label} has {len(members)} labelled nodes but {most} per class are asked to "
                "train on; lower per_class or merge small classes."
            )
    rest = rng.permutation(np.concatenate([m[most:] for m in shuffled.values()]))
    size = min(held_out, len(rest) // 2)
    if size == 0:
        raise ValueError("No labelled node is left for validation and test; lower per_class or label more nodes.")
    val, test = torch.from_numpy(rest[:size]), torch.from_numpy(rest[size : 2 * size])
    return {
        str(n): Split(torch.from_numpy(np.concatenate([m[:n] for m in shuffled.values()])), val, test)
        for n in per_class
    }
