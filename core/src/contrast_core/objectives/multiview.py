"""Multi-view objectives with one term for each instance, and the two ablations between them and InfoNCE."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import final

from attrs import evolve
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import average, contrast, similarity_or_cosine
from contrast_core.objectives.segments import Segments
from contrast_core.objectives.temperature import LogitScale
from contrast_core.pairs import Pairs
from contrast_core.pairwise import Temperature
from contrast_core.relations import same
from contrast_core.similarity import Similarity


class _OfViews(Objective):
    """What these objectives share: pairs of the rows of all views, cosines over a temperature.

    Rows with one entry of the column `sample` are the views of one instance; the column `view` says which view a
    row is. Rows come in any order, and an instance may lack views: sums are over those that it has.

    Args:
        pairs: name of the pairs, whose anchors and candidates hold all views, as the sampler two-views gives them.
        temperature: t.
        similarity: s; cosine of z by default, so rows need not be of unit length.
    """

    def __init__(self, pairs: str = "pairs", temperature: float = 0.5, similarity: Similarity | None = None):
        super().__init__()
        self.needs = (pairs,)
        self.pairs = pairs
        self.similarity = similarity_or_cosine(similarity)
        self.temperature = LogitScale(temperature)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs, temperature = outputs.pairs[self.pairs], self.temperature()
        positive = pairwise.logsumexp(pairs, pairs.positives, self.similarity, temperature)
        return self.term(pairs, positive, Segments.of_instances(pairs.anchors), temperature)

    @abstractmethod
    def term(self, pairs: Pairs, positive: Tensor, instances: Segments, temperature: Temperature) -> Term:
        """The loss from the log-sum-exp of each row's positives, (n,), -inf where there is none."""

    def within_views(self, pairs: Pairs, temperature: Temperature) -> Tensor:
        """log sum exp over the negatives of a row's own view, (n,)."""
        return pairwise.logsumexp(pairs, pairs.negatives * same("view"), self.similarity, temperature)


@final
class MVInfoNCE(_OfViews):
    """MV-InfoNCE: one term for each instance i with all interactions of its views; l = s / t, V_i its rows.

    L = mean_i [ log sum_{r in V_i} sum_{c in A_r} exp(l_rc) - log sum_{r in V_i} sum_{p in P_r} exp(l_rp) ]

    P_r are the positives of row r, its instance's other views, and A_r its positives and negatives, by default all
    other rows. Shapes: anchors (n, d), candidates (m, d); the value is a scalar, `rows` counts instances.

    Args:
        pairs: see `_OfViews`.
        temperature: t; 1.0 in the authors' constructor, 0.5 or 0.1 in their settings.
        similarity: see `_OfViews`.
        same_view_negatives: whether A_r has the negatives of r's own view, as in the authors' code; the published
            formula has only rows of other views.

    Use: With more than two views of an instance, or more than two modalities, where averaged pairwise losses would
        pull in different directions. With two views it has the minimisers of NT-Xent, not its value.

    Cost: O(n^2 d) time for the n rows of all views and O(n d) memory, as InfoNCE over the same rows.

    Parity: MVInfoNCE of pakoromilas/Multi-View-CL, values and gradients to 1e-10 in float64. Code and paper differ in
        same_view_negatives; the default is the code.

    Raises:
        ValueError: if the temperature is not positive, or the rows have no `sample`.

    Paper: A Principled Framework for Multi-View Contrastive Learning, arXiv 2507.06979. An instance with one view
        has no positive and is dropped.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 1.0,
        similarity: Similarity | None = None,
        same_view_negatives: bool = True,
    ):
        super().__init__(pairs, temperature, similarity)
        self.same_view_negatives = same_view_negatives

    def term(self, pairs: Pairs, positive: Tensor, instances: Segments, temperature: Temperature) -> Term:
        """One term for each instance."""
        if not self.same_view_negatives:
            pairs = evolve(pairs, negatives=pairs.negatives * ~same("view"))
        energy = instances.logsumexp(contrast(pairs, self.similarity, temperature))
        own = instances.logsumexp(positive)
        return average(energy - own, own != -math.inf)


@final
class MVDHEL(_OfViews):
    """MV-DHEL: all views of an instance aligned in one term, each view spread out by itself; l = s / t.

    L = mean_i [ sum_{r in V_i} log sum_{c in N_r} exp(l_rc) - log sum_{pairs (r, p) in V_i} exp(l_rp) ]

    V_i are the rows of instance i, N_r the negatives of row r in r's own view; each of the N (N - 1) / 2 pairs of N
    views counts once. The product of the denominators is a sum of logarithms here, so small temperatures and many
    views overflow nothing. Shapes: anchors (n, d), candidates (m, d); the value is a scalar, `rows` counts instances.

    Args:
        pairs: see `_OfViews`.
        temperature: t; 0.2 in the authors' constructor, 0.5 or 0.1 in their settings.
        similarity: see `_OfViews`.

    Use: With several views of an instance, and where few dimensions of the embedding are used otherwise: alignment
        and uniformity are decoupled. The value grows with the number of views; learning rates may have to follow.

    Cost: O(N M^2 d) time for N views of M instances, a factor N less than InfoNCE over the same rows; O(N M d) memory.

    Parity: MVDHEL of pakoromilas/Multi-View-CL, values and gradients to 1e-10 in float64. The published formula counts
        each pair of views twice (a constant log 2) and writes the row itself into the denominator; neither is
        followed.

    Raises:
        ValueError: if the temperature is not positive, or the rows have no `sample` or `view`.

    Paper: A Principled Framework for Multi-View Contrastive Learning, arXiv 2507.06979. An instance with one view, or
        with a row that meets no negative in its view, is dropped.
    """

    def __init__(self, pairs: str = "pairs", temperature: float = 0.2, similarity: Similarity | None = None):
        super().__init__(pairs, temperature, similarity)

    def term(self, pairs: Pairs, positive: Tensor, instances: Segments, temperature: Temperature) -> Term:
        """One term for each instance."""
        energy = instances.sum(self.within_views(pairs, temperature))
        own = instances.logsumexp(positive)
        # Positives are counted from both ends.
        return average(energy - (own - math.log(2.0)), (own != -math.inf) & (energy != -math.inf))


@final
class CL1(_OfViews):
    """CL_1, an ablation: all positives of a row in one logarithm, but one term for each row; l = s / t.

    L = mean_r [ log sum_{c of another view} exp(l_rc) - log sum_{p in P_r} exp(l_rp) ], c any positive or negative.

    See `_OfViews` for the arguments. Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Use: To see what one term for each instance adds: MV-InfoNCE without it.

    Cost: That of InfoNCE over the same rows, O(n^2 d) time and O(n d) memory.

    Parity: The ablation of pakoromilas/Multi-View-CL, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive, or the rows have no `sample` or `view`.

    Paper: A Principled Framework for Multi-View Contrastive Learning, arXiv 2507.06979. A row without a positive is
        dropped.
    """

    def term(self, pairs: Pairs, positive: Tensor, instances: Segments, temperature: Temperature) -> Term:
        """One term for each row."""
        others = (pairs.positives | pairs.negatives) & ~same("view")
        energy = pairwise.logsumexp(pairs, others, self.similarity, temperature)
        return average(energy - positive, positive != -math.inf)


@final
class CL2(_OfViews):
    """CL_2, an ablation: the energy of MV-DHEL, but one alignment for each row; l = s / t, V_i the rows of instance i.

    L = mean_r [ sum_{q in V_i(r)} log sum_{c in N_q} exp(l_qc) - log sum_{p in P_r} exp(l_rp) ], N_q q's view alone.

    See `_OfViews` for the arguments. Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Use: To see what aligning all views in one term adds: MV-DHEL without it.

    Cost: That of MV-DHEL, O(N M^2 d) time for N views of M instances and O(N M d) memory.

    Parity: The ablation of pakoromilas/Multi-View-CL, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive, or the rows have no `sample` or `view`.

    Paper: A Principled Framework for Multi-View Contrastive Learning, arXiv 2507.06979. A row without a positive, or
        of an instance with a row that meets no negative in its view, is dropped.
    """

    def term(self, pairs: Pairs, positive: Tensor, instances: Segments, temperature: Temperature) -> Term:
        """One term for each row."""
        energy = instances.sum(self.within_views(pairs, temperature))[instances.number]
        return average(energy - positive, (positive != -math.inf) & (energy != -math.inf))
