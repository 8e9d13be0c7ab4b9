"""CACR: contrastive attraction and contrastive repulsion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.of_views import among, at_least_two_views, mean_of_terms
from contrast_core.objectives.rows import average
from contrast_core.pairs import Pairs
from contrast_core.relations import Relation
from contrast_core.similarity import Cosine, NegativeDistance, Similarity


@final
class CACR(Objective):
    """Contrastive attraction and contrastive repulsion: positives compete with positives, negatives with negatives.

    With D the squared distance of two rows, for a row r with positives P_r and negatives N_r:

        A_r = alpha sum_{p in P_r} a_p D_rp,     a = softmax over P_r of +tau_pos D: a farther positive is pulled harder
        R_r = -beta sum_{c in N_r} r_c D_rc,     r = softmax over N_r of -tau_neg D: a closer negative is pushed harder

    `attraction` is the mean of A over all rows. `repulsion` is the mean over pairs of views v < v' of the mean of R
    over the rows of v, with negatives of v' only; v < v' where v comes first in the tables. Shapes: anchors (n, d),
    candidates (m, d); both terms are scalars, in [0, 4 alpha] and [-4 beta, 0] for unit rows.

    Args:
        pairs: name of the pairs; with the sampler two-views those of all rows of all views.
        alpha: factor of the attraction.
        beta: factor of the repulsion.
        tau_pos: multiplies squared distances, so on unit rows it is a softmax of cosines with temperature
            -1 / (2 tau_pos).
        tau_neg: the same with temperature 1 / (2 tau_neg); 0.9 for CIFAR-10, 2.0 for CIFAR-100 and STL-10.
        weighting: "full", or the ablations with uniform a, uniform r, or both ("none").
        detach_weights: no gradient through a and r, as in both large-scale versions. With gradient, a positive nearer
            than the mean under a by more than 1 / tau_pos is pushed away, and a negative farther than the mean under r
            by more than 1 / tau_neg pulled in.
        negatives: "view_pairs" as above, or "all": one softmax over all negatives of a row, as with a queue.
        cost: of the repulsion: "euclidean" as above, or "rbf", where a pair of views has
            beta log mean_r sum_c r_c exp(-t D_rc).
        t: of the rbf cost.
        tau_plus: with more than 0, R_r becomes (R_r - tau_plus D_r+) / (1 - tau_plus), D_r+ being the mean distance to
            the row's own positives of v', as in the authors' debiased version. Note its sign: an unbiased estimate
            of the repulsion from true negatives would have + tau_plus beta D_r+.
        normalise: scale rows to unit length first; the authors' functions expect them so.

    Use: With several positives of unequal quality, or where the data of pre-training are imbalanced; with one positive
        the attraction is plain alignment.

    Cost: One softmax mean for each row and relation: O(N^2 M^2 d) time for N views of M instances, as InfoNCE over the
        same rows, half of it with "view_pairs", and O(N M d) memory.

    Parity: The small-scale functions of JegZheng/CACR-SSL (attraction and repulsion, full, without weights, debiased,
        and the rbf repulsion of one pair of views), values and gradients to 1e-10 in float64. Its MoCo-v2 version is
        negatives="all" with detach_weights and the pairs of the sampler teacher-queue; there the authors' code
        uses the first view's products with the queue for all views, which is not followed.

    Raises:
        ValueError: if a number is out of range or an option unknown; in use with "view_pairs", if the rows have no
            `view` or only one, or a relation names rows by their number.

    Paper: Contrastive Attraction and Contrastive Repulsion for Representation Learning, TMLR 2023, arXiv 2105.03746.
        Rows without positives are dropped from the attraction, rows without negatives from the repulsion (with
        tau_plus also those without positives); a pair of views without any is left out of the mean.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        alpha: float = 1.0,
        beta: float = 1.0,
        tau_pos: float = 1.0,
        tau_neg: float = 0.9,
        weighting: Literal["full", "uniform_attraction", "uniform_repulsion", "none"] = "full",
        detach_weights: bool = False,
        negatives: Literal["view_pairs", "all"] = "view_pairs",
        cost: Literal["euclidean", "rbf"] = "euclidean",
        t: float = 2.0,
        tau_plus: float = 0.0,
        normalise: bool = True,
    ):
        super().__init__()
        for name, value in (("tau_pos", tau_pos), ("tau_neg", tau_neg), ("t", t)):
            if value <= 0:
                raise ValueError(f"{name} multiplies squared distances and must be positive, not {value}.")
        known = {
            "weighting": (weighting, ("full", "uniform_attraction", "uniform_repulsion", "none")),
            "negatives": (negatives, ("view_pairs", "all")),
            "cost": (cost, ("euclidean", "rbf")),
        }
        for name, (given, options) in known.items():
            if given not in options:
                raise ValueError(f"{name} is one of {', '.join(options)}, not '{given}'.")
        if not 0 <= tau_plus < 1:
            raise ValueError(f"tau_plus is a probability from 0 to less than 1, not {tau_plus}.")
        if tau_plus and cost == "rbf":
            raise ValueError("tau_plus corrects the euclidean cost; leave it 0 with the rbf cost.")
        self.needs = (pairs,)
        self.pairs, self.alpha, self.beta = pairs, alpha, beta
        self.tau_pos, self.tau_neg = tau_pos, tau_neg
        self.weighting, self.detach_weights, self.negatives = weighting, detach_weights, negatives
        self.cost, self.t, self.tau_plus = cost, t, tau_plus
        # On unit rows D = 2 - 2 s, and cosines have the fast road.
        self.similarity: Similarity = Cosine() if normalise else NegativeDistance()
        self.shift, self.scale = (2.0, 2.0) if normalise else (0.0, 1.0)

    def forward(self, outputs: Outputs) -> Mapping[str, Term]:
        """Attraction and repulsion of the named pairs."""
        pairs = outputs.pairs[self.pairs]
        uniform = self.weighting in ("uniform_attraction", "none")
        distance = self._distance(pairs, pairs.positives, None if uniform else self.tau_pos)
        attraction = average(self.alpha * distance, pairwise.weight(pairs, pairs.positives) > 0)
        return {
            "attraction": attraction,
            "repulsion": mean_of_terms([self._repel(part) for part in self._parts(pairs)]),
        }

    def _parts(self, pairs: Pairs) -> Sequence[Pairs]:
        if self.negatives == "all":
            return [pairs]
        return [among(pairs, [one], [two]) for one, two in combinations(at_least_two_views(pairs), 2)]

    def _repel(self, pairs: Pairs) -> Term:
        """The repulsion of one pair of views."""
        met = pairwise.weight(pairs, pairs.negatives) > 0
        tau = None if self.weighting in ("uniform_repulsion", "none") else -self.tau_neg
        if self.cost == "rbf":
            term = average(self._mean(self._rbf, pairs, pairs.negatives, tau), met)
            return Term(self.beta * term.value.log(), term.rows, term.dropped) if term.rows else term
        repulsion = -self.beta * self._distance(pairs, pairs.negatives, tau)
        if self.tau_plus:
            own = self._distance(pairs, pairs.positives, None)
            repulsion = (repulsion - self.tau_plus * own) / (1 - self.tau_plus)
            met &= pairwise.weight(pairs, pairs.positives) > 0
        return average(repulsion, met)

    def _distance(self, pairs: Pairs, relation: Relation, tau: float | None) -> Tensor:
        """The mean of D under softmax(tau D), or under equal weights, (n,)."""
        return self.shift - self.scale * self._mean(None, pairs, relation, tau)

    def _mean(
        self, function: Callable[[Tensor], Tensor] | None, pairs: Pairs, relation: Relation, tau: float | None
    ) -> Tensor:
        """The mean of f(s), or s, under softmax(tau D), or under equal weights, (n,)."""
        if tau is not None:
            temperature = -1 / (self.scale * tau)
            return pairwise.softmax_mean(
                function, pairs, relation, self.similarity, temperature, detach_weights=self.detach_weights
            )
        if function is None:
            return pairwise.mean(pairs, relation, self.similarity)
        total = pairwise.weight(pairs, relation)
        return pairwise.sum_of(function, pairs, relation, self.similarity) / torch.where(total > 0, total, 1.0)

    def _rbf(self, similarities: Tensor) -> Tensor:
        return torch.exp(-self.t * (self.shift - self.scale * similarities))
