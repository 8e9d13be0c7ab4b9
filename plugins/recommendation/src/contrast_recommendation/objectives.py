"""The margin regulariser of MCLRec."""

from __future__ import annotations

from typing import Literal, final

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.similarity import Dot, Similarity


@final
class MarginRegulariser(Objective):
    """R keeps positive pairs from being told too easily from negative ones; it works against InfoNCE on purpose.

    With logits l = s / t, the positive p_r and the negatives N_r of anchor r:

        R = mean_r relu(p_r - lo) + mean_{r, j in N_r} relu(hi - l_rj),
        lo = min(min p, max l), hi = max(min p, max l), both with gradient.

    The minimum and maximum are over all anchors ("set", as the paper writes) or of each row ("row", as its authors'
    code has it). As lo and hi bound positives and negatives, R = mean p - mean l + mean |min p - max l|. A row whose
    positive beats its hardest negative is pulled back; one whose positive loses pays for its easy negatives alone.

    Args:
        pairs: name of the pairs, anchors (n rows) and candidates (m rows); every anchor has one positive, or none and
            is dropped.
        temperature: t.
        similarity: s; the inner product of z by default.
        bounds: over what the minimum and maximum are taken.

    Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Use: Beside InfoNCE on the same pairs, with a tenth of its weight, where augmenters are learned and could make pairs
        that are told apart too easily.

    Cost: O(n m d) for the hardest negatives, in blocks; the two means are sums of rows, O(n d). O(n d) memory.

    Parity: With bounds = "row", the regulariser of QinHsiu/MCLRec, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive; in use, if an anchor has several positives.

    Paper: MCLRec, SIGIR 2023, arXiv 2304.07763.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 1.0,
        similarity: Similarity | None = None,
        bounds: Literal["set", "row"] = "set",
    ):
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"The temperature must be positive, not {temperature}.")
        self.needs = (pairs,)
        self.pairs, self.temperature, self.bounds = pairs, temperature, bounds
        self.similarity = similarity if similarity is not None else Dot()

    def forward(self, outputs: Outputs) -> Term:
        """R of the named pairs; `hard` is the share of anchors whose positive loses against the hardest negative."""
        pairs, similarity, t = outputs.pairs[self.pairs], self.similarity, self.temperature
        positive, count = pairwise.weighted_sum(pairs, pairs.positives, similarity, t)
        if bool((count > 1).any()):
            row = int((count > 1).nonzero()[0])
            raise ValueError(
                f"The margin regulariser takes one positive an anchor, but anchor {row} of '{self.pairs}' has "
                f"{float(count[row]):g}."
            )
        negative, others = pairwise.weighted_sum(pairs, pairs.negatives, similarity, t)
        hardest = pairwise.topk(pairs, pairs.negatives, 1, similarity)[0][:, 0] / t
        valid = (count > 0) & (others > 0)
        rows, dropped = int(valid.sum()), int((~valid).sum())
        if rows == 0:
            return Term((positive * 0.0).sum(), rows=0, dropped=dropped)
        positive, hardest = positive[valid], hardest[valid]
        gap = positive - hardest if self.bounds == "row" else positive.min() - hardest.max()
        value = positive.mean() - negative[valid].sum() / others[valid].sum() + gap.abs().mean()
        scalars = {"hard": float((positive <= hardest).float().mean())}
        return Term(value, rows=rows, dropped=dropped, scalars=scalars)
