"""CosineEmbeddingLoss of torch, for pairs of any sampler."""

from typing import final

import torch
from contrast_core import Objective, Outputs, Term, pairwise

from contrast_borrowed.numbers import at_least_float32, finite


@final
class CosineEmbedding(Objective):
    """torch.nn.CosineEmbeddingLoss over all pairs: positives have target 1, negatives have target -1.

    L = sum_ij w_ij l_ij / sum_ij w_ij with l_ij = 1 - c_ij for a positive and max(0, c_ij - margin) for a negative;
    c is the cosine of the rows' field z and w the weight of the relation. With weights of 0 and 1 this is the
    library's "mean". A pair that is positive and negative counts once, as a positive.
    Anchors (n, d), candidates (m, d); the value is a scalar. `rows` are the anchors in a pair, `dropped` the others.

    Args:
        pairs: name of the pairs.
        margin: cosine up to which a negative costs nothing, from -1 to 1.

    Cost: Lists all pairs: O(n m d) time and memory.

    Raises:
        ValueError: if the margin is out of its range.

    Paper: none; the loss is documented by PyTorch.
    """

    def __init__(self, pairs: str = "pairs", margin: float = 0.0):
        super().__init__()
        self.pairs, self.needs = pairs, (pairs,)
        self.loss = torch.nn.CosineEmbeddingLoss(margin=finite("margin", margin, -1, 1), reduction="none")

    def forward(self, outputs: Outputs) -> Term:
        """The weighted mean over the named pairs."""
        pairs = outputs.pairs[self.pairs]
        one, two = at_least_float32(pairs.anchors.z), at_least_float32(pairs.candidates.z)
        attract = pairwise.matrix(pairs, pairs.positives)[1].to(one.dtype)
        repel = pairwise.matrix(pairs, pairs.negatives)[1].to(one.dtype)
        positive = attract > 0
        weights = torch.where(positive, attract, repel)
        i, j = (weights > 0).nonzero(as_tuple=True)
        rows = len(i.unique())
        if rows == 0:
            return Term(one.sum() * 0 + two.sum() * 0, rows=0, dropped=len(one))
        target = torch.where(positive[i, j], 1, -1)
        with torch.autocast(one.device.type, enabled=False):
            losses = self.loss(one[i], two[j], target)
        chosen = weights[i, j]
        return Term((chosen * losses).sum() / chosen.sum(), rows=rows, dropped=len(one) - rows)
