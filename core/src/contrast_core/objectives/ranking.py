"""Multiple-negatives ranking."""

from __future__ import annotations

from typing import Literal, final

from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.similarity import Similarity


@final
class MultipleNegativesRanking(Objective):
    """Sentence-transformers' name and scale for InfoNCE over positives and hard negatives of a batch.

    L = mean_i [ log sum_j exp(scale s_ij) - scale s_ii ]: cross-entropy of row i with class i, over the
    positives of all anchors and the hard negatives of all anchors (the sampler `Ranking`).

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows).
        scale: 1 / t.
        similarity: s; cosine of z by default.
        directions: "both" adds the transposed direction, on the positives only (hard negatives belong to
            nobody and are counted as dropped), and halves the sum: the symmetric variant.

    Use: For queries and their answers, sentences and their paraphrases, with hard negatives if there are any; batches
        should not hold one sample twice.

    Cost: That of InfoNCE: O(n m d) time for n anchors and m = n (1 + hard negatives an anchor) candidates,
        O((n + m) d) memory; "both" takes one pass for both directions.

    Parity: The documented formula of MultipleNegativesRankingLoss of sentence-transformers, evaluated directly, values
        and gradients to 1e-10 in float64. There a sample that is twice in a batch stands among its own negatives; the
        sampler `Ranking` makes both copies positives.

    Raises:
        ValueError: if the scale is not positive.

    Paper: arXiv 1705.00652.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        scale: float = 20.0,
        similarity: Similarity | None = None,
        directions: Literal["one", "both"] = "one",
    ):
        super().__init__()
        if scale <= 0:
            raise ValueError(f"A scale must be positive, not {scale}.")
        self.needs = (pairs,)
        self.infonce = InfoNCE(pairs, temperature=1 / scale, similarity=similarity, directions=directions)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        term: Term = self.infonce(outputs)
        return term
