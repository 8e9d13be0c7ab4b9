"""OpTA: the prototypes of a few labelled rows, moved onto the rows that are to be classified."""

from __future__ import annotations

from typing import NamedTuple

import torch
from attrs import field, frozen, validators
from torch import Tensor

from contrast_fewshot.classifier import fit
from contrast_fewshot.transport import Plans, episode_plans


class Moved(NamedTuple):
    """What OpTA did: the prototypes to classify by, (E, w, d), those after each pass, and the plan of each."""

    prototypes: Tensor
    passes: list[Tensor]
    plans: list[Plans]


def standardise(rows: Tensor) -> Tensor:
    """Every row (..., d) less its mean, over its unbiased deviation; a constant row becomes zeros."""
    centred = rows - rows.mean(-1, keepdim=True)
    return centred / rows.std(-1, keepdim=True).clamp(min=torch.finfo(rows.dtype).eps)


@frozen
class OpTA:
    """Distribution alignment of supports and queries by optimal transport, for E episodes at once.

    Passes: T = the entropic plan between prototypes P (w, d) and queries X (q, d), then P <- (T / row sums) X, the
    prototypes' barycentres among the queries. After the last, with more than one shot, P <- ratio P + (1 - ratio) P0
    with the first prototypes P0. There is nothing to learn, but all queries of an episode are looked at together:
    results with OpTA are transductive and are to be compared with such.

    Args:
        one_shot: passes for one shot; more_shots: passes for more.
        ratio: of the moved prototypes, for more than one shot.
        epsilon, relaxation, rounds, tolerance: see `episode_plans`; a relaxation is not in the paper.

    Raises:
        ValueError: if a number is out of range.

    Paper: Poulakakis-Daktylidis and Jamali-Rad, BECLR, ICLR 2024, arXiv 2402.02444.
    """

    one_shot: int = field(default=5, validator=validators.ge(0))
    more_shots: int = field(default=1, validator=validators.ge(0))
    ratio: float = field(default=0.7, validator=[validators.ge(0), validators.le(1)])
    epsilon: float = field(default=0.05, validator=validators.gt(0))
    relaxation: float | None = field(default=None, validator=validators.optional(validators.gt(0)))
    rounds: int = field(default=1000, validator=validators.ge(1))
    tolerance: float = 1e-4

    @torch.no_grad()
    def __call__(self, prototypes: Tensor, queries: Tensor, shots: int) -> Moved:
        """Move prototypes (E, w, d), means of so many shots each, onto queries (E, q, d)."""
        moved, passes, plans = prototypes, [], []
        for _ in range(self.one_shot if shots == 1 else self.more_shots):
            found = episode_plans(moved, queries, self.epsilon, self.relaxation, self.rounds, self.tolerance)
            moved = (found.plan / found.plan.sum(2, keepdim=True)) @ queries
            passes.append(moved)
            plans.append(found)
        if shots > 1:
            moved = self.ratio * moved + (1 - self.ratio) * prototypes
        return Moved(moved, passes, plans)


@torch.no_grad()
def classify(prototypes: Tensor, queries: Tensor) -> Tensor:
    """The way, 0 to w - 1, of each query by the logistic regression fitted on the prototypes: (E, q) int64."""
    return fit(prototypes).scores(prototypes, queries).argmax(2)
