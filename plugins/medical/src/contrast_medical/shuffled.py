"""Dependence of both spaces as the difference between their rows and the same rows shuffled: TC and MMD."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.encoders.heads import projection_head
from contrast_core.interfaces import Flow, Objective, Outputs, Term
from contrast_core.pairs import Pairs
from contrast_core.relations import everything
from contrast_medical.joint import JOINT, spaces
from contrast_medical.routing import held, mean_terms, nothing, paired_rows
from contrast_medical.spaces import check_temperature, mean_term, needed


def shuffled(rows: Tensor) -> Tensor:
    """Row i + n // 2 in the place of row i: no row keeps its place, and nothing is drawn.

    Training puts items into random order, so that the row half a batch further on is any other one.
    """
    return rows.roll(-(len(rows) // 2), 0)


@final
class DensityRatio(Objective):
    """TC: a discriminator D tells pairs (c, s) from shuffled ones; L = mean_i log D(c_i, s_i) / (1 - D(c_i, s_i)).

    c are common rows at unit length, s salient rows with the background at the origin; shuffled means that each c meets
    the s of the row half a batch further on. There are two terms: "penalty" is L, an estimate of the mutual information
    where D is the best there is, with no gradient for D; "discrimination" is D's cross-entropy, with none for the rows.
    So one backward pass and one optimiser do what otherwise is done in turn.

    Args:
        views: tables with fields `common` (n, d) and `salient` (n, e) and the column `role`; terms are their means.
        hidden: width of each of D's two hidden layers.

    Use: A baseline of SepCLR, in the joint entropy's place; a factor on both terms only matters for the penalty where
        the optimiser is blind to a gradient's scale, as Adam is. It can be fooled: it is no bound.

    Cost: O(n (d + e + hidden) hidden) time and O(n (d + e + hidden)) memory for each view.

    Parity: none; plain loops.

    Raises:
        ValueError: if there is no view or the width is below 1.

    Paper: Kim and Mnih, FactorVAE, ICML 2018, arXiv 1802.05983, whose D has six layers, tells all coordinates apart and
        trains in turn; as a baseline in Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    permutation_invariant = False

    def __init__(self, views: Sequence[str] = ("one", "two"), hidden: int = 64):
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden = {hidden} must be at least 1.")
        self.needs = needed(views, "common", "salient", "role")
        self.views, self.hidden = tuple(views), hidden
        self.discriminator: nn.Module = nn.Identity()

    def prepare(self, flow: Flow) -> None:
        """Make the discriminator."""
        table = flow[self.views[0]]
        width = table["common"].shape[1] + table["salient"].shape[1]
        self.discriminator = projection_head(width, [self.hidden, self.hidden, 1]).to(table["common"].device)

    def forward(self, outputs: Outputs) -> Mapping[str, Term]:
        """The two terms."""
        return mean_terms([self._terms(outputs.tables[view]) for view in self.views])

    def _terms(self, table: Embeddings) -> Mapping[str, Term]:
        common, salient = paired_rows(table)
        count = len(common)
        if count < 2:
            return nothing(common, "penalty", "discrimination")
        together = torch.cat([common, salient], 1).to(next(self.discriminator.parameters()))
        apart = torch.cat([common, shuffled(salient)], 1).to(together)
        penalty = at_least_float32(held(self.discriminator, together)).mean()
        true, false = (at_least_float32(self.discriminator(rows.detach())) for rows in (together, apart))
        # -log D = softplus(-logit), -log(1 - D) = softplus(logit)
        wrong = (functional.softplus(-true).mean() + functional.softplus(false).mean()) / 2
        accuracy = float(((true > 0).double().mean() + (false <= 0).double().mean()) / 2)
        return {"penalty": Term(penalty, count), "discrimination": Term(wrong, count, scalars={"accuracy": accuracy})}


@final
class MeanDiscrepancy(Objective):
    """MMD of pairs (c, s) and shuffled ones: L = mean_ij k(x_i, x_j) + k(y_i, y_j) - 2 k(x_i, y_j).

    x_i = (c_i, s_i) and y_i = (c_i, s_p(i)), where p(i) is the row half a batch further on; k is the product of
    exp(-|c - c'|^2 / (2 t)) and exp(-|s - s'|^2 / (2 t)), common rows at unit length, salient rows of the background
    at the origin. i = j is included, so L >= 0 but for rounding, and 0 where all s (or all c) are equal.

    Args:
        views: tables with fields `common` (n, d) and `salient` (n, e) and the column `role`; the loss is their mean.
        temperature: t of the kernels, more than 0.

    Use: A baseline of SepCLR, in the joint entropy's place; needs no network beside.

    Cost: three times the joint entropy's O(n^2 (d + e)), O(n (d + e)) memory, in tiles.

    Parity: none; plain loops.

    Raises:
        ValueError: if the temperature is not positive or there is no view.

    Paper: Gretton et al., JMLR 2012, the biased estimate; as a baseline in Louiset et al., SepCLR, ICLR 2024, arXiv
        2402.11928.
    """

    permutation_invariant = False

    def __init__(self, views: Sequence[str] = ("one", "two"), temperature: float = 0.5):
        super().__init__()
        check_temperature(temperature)
        self.needs = needed(views, "common", "salient", "role")
        self.views, self.temperature = tuple(views), temperature

    def forward(self, outputs: Outputs) -> Term:
        """The squared discrepancy."""
        return mean_term([self._discrepancy(spaces(outputs.tables[view])) for view in self.views])

    def _discrepancy(self, rows: Embeddings) -> Term:
        if len(rows) < 2:
            return Term(rows["common"].sum() * 0.0, rows=0)
        others = rows.with_fields(salient=shuffled(rows["salient"]))
        value = self._kernel(rows, rows) + self._kernel(others, others) - 2 * self._kernel(rows, others)
        return Term(value, len(rows))

    def _kernel(self, one: Embeddings, two: Embeddings) -> Tensor:
        """mean_ij k(x_i, y_j)."""
        sums = pairwise.logsumexp(Pairs(one, two, everything, everything), everything, JOINT, 2 * self.temperature)
        return (sums - math.log(len(two))).exp().mean()
