"""Alignment of positives and uniformity of a table on the sphere."""

from __future__ import annotations

import math
from typing import final

import torch

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import attraction, average
from contrast_core.pairs import Pairs
from contrast_core.relations import same
from contrast_core.similarity import Cosine, NegativeDistance, Similarity, SquaredDistance


@final
class Alignment(Objective):
    """How far positives are apart: L = mean_i mean_{p in P_i} |a_i - c_p|^power.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows); negatives are not used.
        power: alpha of the paper.
        normalise: scale rows to unit length first, as lightly does; align_uniform expects them so.

    Use: With `Uniformity` in place of a contrastive loss, to weigh the two forces separately, or as a pull of its own
        beside another objective. Alone it has a trivial minimum: all rows equal.

    Cost: O(p d) time and memory for p positive pairs, where these can be listed: no comparison of all rows, unlike
        InfoNCE.

    Parity: align_loss of SsnL/align_uniform and the loss of lightly 1.6.0 that sums it up, values and gradients to
        1e-10 in float64, with and without scaling to unit length first.

    Raises:
        ValueError: if the power is below 1, where the gradient of equal rows is infinite.

    Paper: arXiv 2005.10242.
    """

    def __init__(self, pairs: str = "pairs", power: float = 2.0, normalise: bool = True):
        super().__init__()
        if power < 1:
            raise ValueError(f"The power of the distance must be at least 1, not {power}.")
        self.needs = (pairs,)
        self.pairs = pairs
        self.similarity = NegativeDistance(power, normalise)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; rows without positives are dropped and counted."""
        closeness, weight = attraction(outputs.pairs[self.pairs], self.similarity, 1.0)
        return average(-closeness, weight > 0)


@final
class Uniformity(Objective):
    """How far a table is from uniform on the sphere: L = log mean_{i < j} exp(-t |x_i - x_j|^2).

    Args:
        table: name of the table, (n, d).
        t: 2 in the paper; lightly's default is 1.
        normalise: scale rows to unit length first, as lightly does; align_uniform expects them so.

    All pairs are one mean here, so no row is ever dropped; a table of fewer than two rows gives zero with
    rows = 0. Computed in tiles: unlike a list of all distances it takes O(n d) memory.

    Use: With `Alignment`, one for each view; or to keep any other objective from collapsing.

    Cost: O(n^2 d) time and O(n d) memory, by the hand-written log-sum-exp for unit rows: as InfoNCE over n rows.

    Parity: uniform_loss of SsnL/align_uniform and the loss of lightly 1.6.0 that sums it up, values and gradients to
        1e-10 in float64. Both list all distances, O(n^2) memory.

    Raises:
        ValueError: if t is not positive.

    Paper: arXiv 2005.10242. Its loss is alignment + (uniformity of one view + uniformity of the other) / 2:
        two
    objectives of factor 0.5 each in a recipe.
    """

    def __init__(self, table: str = "embedding", t: float = 2.0, normalise: bool = True):
        super().__init__()
        if t <= 0:
            raise ValueError(f"The t of uniformity must be positive, not {t}.")
        self.needs = (table,)
        self.table, self.t, self.normalise = table, t, normalise
        # On unit rows -t d^2 = 2 t s - 2 t, and the cosine has the fast road.
        self.similarity: Similarity = Cosine() if normalise else SquaredDistance()
        self.temperature, self.shift = (1 / (2 * t), 2 * t) if normalise else (1 / t, 0.0)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named table."""
        table = outputs.tables[self.table]
        n = len(table)
        if n < 2:
            return Term(table.z.sum() * 0.0, rows=0, dropped=n)
        table = table.with_columns(row=torch.arange(n))
        if not self.normalise:
            # Distances do not change, but near the origin their squares lose fewer digits.
            table = table.with_fields(z=table.z - table.z.detach().mean(0))
        pairs = Pairs(table, table, same("row"), ~same("row"))
        rows = pairwise.logsumexp(pairs, pairs.negatives, self.similarity, self.temperature)
        return Term(torch.logsumexp(rows, dim=0) - math.log(n * (n - 1)) - self.shift, rows=n)
