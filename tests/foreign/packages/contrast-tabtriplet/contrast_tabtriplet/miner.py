# SPDX-License-Identifier: 0BSD
"""Which triplets to learn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from contrast_core import Pairs, PairSampler
from contrast_core.interfaces import Flow
from contrast_core.relations import edges
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(eq=False, repr=False)
class SemiHard(PairSampler):
    """One anchor row for each ordered pair (a, p) of two rows of one label, with one negative n of another label:

        D(a, p) < D(a, n) < D(a, p) + margin,    D(x, y) = |x/|x| - y/|y||^2

    Rows labelled -1 are unlabelled and take part in nothing. A pair without such a negative keeps its positive and
    has no negative, so that objectives count it as dropped. The choice has no gradient; the rows do.

    Args:
        table: name of the table, with a column `label`.
        margin: alpha of the paper, from above 0 to 4.
        pick: "nearest" of the semi-hard negatives, or a "random" one; in evaluation mode always the nearest.
        name: under which the pairs go on.

    Cost: n x n distances, and p x n comparisons for p pairs: for batches of some hundred rows.

    Raises:
        ValueError: if the margin is out of its range.

    Paper: Schroff, Kalenichenko, Philbin, FaceNet, CVPR 2015, arXiv 1503.03832, section 3.2.
    """

    table: str = "features"
    margin: float = 0.2
    pick: Literal["nearest", "random"] = "nearest"
    name: str = "pairs"

    def __post_init__(self):
        super().__init__()
        if not 0 < self.margin <= 4:
            raise ValueError(f"margin = {self.margin} must be from above 0 to 4.")
        self.needs = (self.table, f"{self.table}.label", f"{self.table}.sample")
        self.gives = (self.name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Anchors are the pairs, candidates all rows of the table."""
        rows = flow[self.table]
        label = rows["label"]
        known = label >= 0
        alike = label[:, None] == label
        alike.fill_diagonal_(False)
        anchor, positive = (alike & known & known[:, None]).nonzero(as_tuple=True)
        # By sample numbers, so that the rows come in an order of their own, whatever that of the batch.
        order = rows["sample"][positive].argsort(stable=True)
        order = order[rows["sample"][anchor[order]].argsort(stable=True)]
        anchor, positive = anchor[order], positive[order]
        pair, negative = self._negatives(rows.z.detach(), (label[:, None] != label) & known, anchor, positive)
        every = torch.arange(len(anchor), device=anchor.device)
        return {self.name: Pairs(rows.select(anchor), rows, edges(every, positive), edges(pair, negative))}

    def _negatives(self, z: Tensor, unlike: Tensor, anchor: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of the pairs that have a semi-hard negative, and that negative's row."""
        unit = normalize(z.to(torch.promote_types(z.dtype, torch.float32)), dim=1)
        distance = 2 - 2 * unit @ unit.T
        theirs, reach = distance[anchor], distance[anchor, positive][:, None]
        good = unlike[anchor] & (theirs > reach) & (theirs < reach + self.margin)
        if self.pick == "random" and self.training:
            theirs = torch.rand(theirs.shape).to(theirs)
        pair = good.any(dim=1).nonzero()[:, 0]
        if not len(pair):
            return pair, pair
        return pair, theirs.masked_fill(~good, float("inf"))[pair].argmin(dim=1)
