"""Projection heads: the layers between what is evaluated and what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

Norm = Literal["none", "hidden", "every"]


def projection_head(wide: int, sizes: Sequence[int], batch_norm: Norm = "none") -> nn.Module:
    """A linear layer for each size, with ReLU between them: (B, wide) to (B, last size); without sizes the identity.

    Args:
        wide: numbers of a row that comes in.
        sizes: of the layers.
        batch_norm: after which layers rows are normalised over the batch: "none", the "hidden" ones or "every" one.

    Papers: two layers, Chen et al., SimCLR, ICML 2020, arXiv 2002.05709; batch normalisation after every one, Chen and
        He, SimSiam, CVPR 2021, arXiv 2011.10566.
    """
    if not sizes:
        return nn.Identity()
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise([wide, *sizes]), start=1):
        hidden = number < len(sizes)
        layers.append(nn.Linear(before, after))
        if batch_norm == "every" or (hidden and batch_norm == "hidden"):
            layers.append(nn.BatchNorm1d(after))
        if hidden:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)
