"""The joint entropy of both spaces, estimated with kernels: k-JEM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.pairs import Pairs
from contrast_core.relations import everything
from contrast_core.similarity import Similarity, SquaredDistance, WeightedSum
from contrast_medical.spaces import anchored, check_temperature, mean_term, needed

COMMON = SquaredDistance(normalise=True, field="common")
SALIENT = SquaredDistance(field="salient")
JOINT = WeightedSum((COMMON, SALIENT), (1.0, 1.0))


def spaces(table: Embeddings) -> Embeddings:
    """The rows as entropies see them: `common`, and `salient` with the background at the origin."""
    return Embeddings({"common": table["common"], "salient": anchored(table, "salient")}, {}, table.group)


def negative_entropy(rows: Embeddings, similarity: Similarity, temperature: float) -> Term:
    """mean_i log mean_j exp(s_ij / (2 t)), j = i included: minus a kernel estimate of the entropy, at least -log n."""
    n = len(rows)
    if not n:
        return Term(rows["common"].sum() * 0.0, rows=0)
    pairs = Pairs(rows, rows, everything, everything)
    return Term(pairwise.logsumexp(pairs, everything, similarity, 2 * temperature).mean() - math.log(n), rows=n)


@final
class JointEntropy(Objective):
    """Minus the joint entropy of common and salient rows: L = mean_i log mean_j K(c_i, c_j) K(s_i, s_j).

    K(a, b) = exp(-|a - b|^2 / (2 t)), j = i included, so L >= -log n. Common rows are scaled to unit length; salient
    rows of the background are at the origin. A log-sum-exp under the sum of two similarities, on the engine.

    Args:
        views: tables with fields `common` (n, d) and `salient` (n, e) and the column `role`; the loss is their mean.
        temperature: t, more than 0.

    Use: Minimised beside uniformity in both spaces it lowers their mutual information, H(c) + H(s) - H(c, s), without
        lowering the marginal entropies.

    Cost: O(n^2 (d + e)) time, O(n (d + e)) memory for each view, in tiles.

    Parity: joint_entropy_loss of the authors' losses.py, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive or there is no view.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), temperature: float = 0.5):
        super().__init__()
        check_temperature(temperature)
        self.needs = needed(views, "common", "salient", "role")
        self.views, self.temperature = tuple(views), temperature

    def forward(self, outputs: Outputs) -> Term:
        """The loss of all rows."""
        rows = [spaces(outputs.tables[view]) for view in self.views]
        return mean_term([negative_entropy(each, JOINT, self.temperature) for each in rows])


@final
class MutualInformation(Objective):
    """The kernel estimate of the mutual information of both spaces: L = H(c) + H(s) - H(c, s).

    H(a) = -mean_i log mean_j K(a_i, a_j), and the same with the product of kernels for both, as in `JointEntropy`.

    Args:
        views: tables with fields `common` (n, d) and `salient` (n, e) and the column `role`; the loss is their mean.
        temperature: t of the kernels, more than 0.

    Use: The baseline k-MI of the paper: unlike the joint entropy alone it also pulls the marginal entropies down,
        against uniformity.

    Cost: three times the joint entropy's O(n^2 (d + e)).

    Parity: none; the authors' code has no such term. Tested against the joint entropy's golden cases and loops.

    Raises:
        ValueError: if the temperature is not positive or there is no view.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928, as a baseline.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), temperature: float = 0.5):
        super().__init__()
        check_temperature(temperature)
        self.needs = needed(views, "common", "salient", "role")
        self.views, self.temperature = tuple(views), temperature

    def forward(self, outputs: Outputs) -> Term:
        """The estimate over all rows."""
        return mean_term([self._estimate(spaces(outputs.tables[view])) for view in self.views])

    def _estimate(self, rows: Embeddings) -> Term:
        joint, common, salient = (negative_entropy(rows, s, self.temperature) for s in (JOINT, COMMON, SALIENT))
        return Term(joint.value - common.value - salient.value, joint.rows)
