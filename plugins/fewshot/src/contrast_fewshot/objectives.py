"""The loss of BECLR, and its uniformity against a memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

import torch
from torch.nn import functional

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import attraction, average
from contrast_core.pairs import Pairs
from contrast_core.relations import everything
from contrast_core.similarity import Cosine, Dot


@final
class BECLR(Objective):
    """Closeness to the positives, and uniformity of the student's rows.

        positive = - mean_i mean_{c in P_i} cos(p_i, t_c)
        negative = log mean_{i, j in N_i} exp(cos(z_i, z_j) / temperature)

    over all pairs (i, j) of negatives together. The loss is positive + lam negative; `negative` carries lam as its
    weight. With k neighbours of a memory P_i holds 1 + k rows, all of weight 1 / (1 + k). Rows without a positive are
    dropped from the first term and counted; without any pair of negatives the second is zero.

    Where the anchors have columns `retrieved` and `pure` (see `BatchEnhancement`), their ratio is logged as `purity`;
    `spread` is the deviation of the candidates' unit rows, averaged over dimensions: near 0 they have collapsed.

    Args:
        positives: name of the pairs p, t: anchors (n, d), candidates (m, d).
        others: name of the pairs z, z: (n, d) both; left out, there is no second term.
        lam: weight of the second term.
        temperature: of the second term, more than 0.

    Use: To train an encoder with a teacher on few, similar images, where other images' embeddings serve as positives;
        without neighbours it is SimSiam's or BYOL's loss with a force that spreads rows.

    Cost: O(p d) for p positive pairs, which are listed, and O(n^2 d) time, O(n d) memory for the negatives, by the
        hand-written log-sum-exp.

    Parity: BECLRLoss of stypoumic/BECLR, all three settings of its negatives, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if lam is negative or the temperature not positive.

    Paper: Poulakakis-Daktylidis and Jamali-Rad, BECLR, ICLR 2024, arXiv 2402.02444.
    """

    def __init__(
        self, positives: str = "positives", others: str | None = "others", lam: float = 0.1, temperature: float = 2.0
    ):
        super().__init__()
        if lam < 0 or temperature <= 0:
            raise ValueError(f"lam = {lam} must not be negative and temperature = {temperature} must be more than 0.")
        self.needs = (positives,) if others is None else (positives, others)
        self.positives, self.others, self.lam, self.temperature = positives, others, lam, temperature

    def forward(self, outputs: Outputs) -> Mapping[str, Term]:
        """Both terms."""
        pairs = outputs.pairs[self.positives]
        closeness, weight = attraction(pairs, Cosine(), 1.0)
        scalars = {"spread": _spread(pairs.candidates), **_purity(pairs.anchors)}
        terms = {"positive": average(-closeness, weight > 0, **scalars)}
        if self.others is not None:
            terms["negative"] = self._negative(outputs.pairs[self.others])
        return terms

    def _negative(self, pairs: Pairs) -> Term:
        rows = pairwise.logsumexp(pairs, pairs.negatives, Cosine(), self.temperature)
        counts = pairwise.weight(pairs, pairs.negatives)
        have = counts > 0
        if not bool(have.any()):
            return Term(pairs.anchors.z.sum() * 0.0, rows=0, dropped=len(rows), weight=self.lam)
        value = torch.logsumexp(rows[have], dim=0) - torch.log(counts.sum()).to(rows)
        return Term(value, int(have.sum()), int((~have).sum()), self.lam)


@final
class MemoryUniformity(Objective):
    """Uniformity of a table's rows against a memory, of which what is too similar is left out.

        L = log( mean_i sum_j exp(s_ij [s_ij <= threshold] / t) / |{i, j: s_ij <= threshold}| ),    s_ij = <n(z_i), m_j>

    This is the authors' code, where it is an option that none of their settings turns on: a pair above the threshold
    counts as exp(0) in the sum and not at all in the number, and the number is that of all rows together, so that L is
    lower by log n than a mean over pairs. Rows of the memory are not scaled: write them normalised.

    Args:
        pairs: name of the pairs, anchors z (n, d) and candidates m (c, d); relations are not used.
        temperature: t, more than 0.
        threshold: largest s_ij that is repelled.

    Use: Beside `BECLR`, with a sampler such as `core/queue-pairs`, where batches are too small to be spread evenly.

    Cost: O(n c d) time and O(n c) memory: all similarities are kept.

    Parity: BECLRLoss.neg of stypoumic/BECLR with a memory, value and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive.

    Paper: Poulakakis-Daktylidis and Jamali-Rad, BECLR, ICLR 2024, arXiv 2402.02444 (authors' code only).
    """

    def __init__(self, pairs: str = "pairs", temperature: float = 2.0, threshold: float = 0.8):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature = {temperature} must be more than 0.")
        self.needs = (pairs,)
        self.pairs, self.temperature, self.threshold = pairs, temperature, threshold

    def forward(self, outputs: Outputs) -> Term:
        """The value over all pairs."""
        pairs = outputs.pairs[self.pairs]
        anchors = pairs.anchors.with_fields(z=functional.normalize(pairs.anchors.z, dim=1))
        found = Pairs(anchors, pairs.candidates, everything, everything)
        similarity, _ = pairwise.matrix(found, found.negatives, Dot())
        near = similarity.detach() > self.threshold
        kept = int((~near).sum())
        if not kept:
            return Term(similarity.sum() * 0.0, rows=0, dropped=len(anchors))
        exponents = similarity.masked_fill(near, 0.0) / self.temperature
        return Term(torch.logsumexp(exponents.flatten(), 0) - math.log(kept * len(anchors)), rows=len(anchors))


def _spread(table: Embeddings) -> float:
    unit = functional.normalize(table.z.detach(), dim=1)
    return float(unit.std(0).mean()) if len(unit) > 1 else 0.0


def _purity(anchors: Embeddings) -> dict[str, float]:
    if "pure" not in anchors or "retrieved" not in anchors or not bool(anchors["retrieved"].any()):
        return {}
    return {"purity": float(anchors["pure"].sum() / anchors["retrieved"].sum())}
