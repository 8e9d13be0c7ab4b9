"""CACR with a momentum encoder, on top of MoCo v3."""

from __future__ import annotations

from typing import Literal, final

import torch

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.of_views import among, mean_of_terms, views_in_order
from contrast_core.objectives.segments import Segments
from contrast_core.objectives.temperature import LogitScale
from contrast_core.pairs import Pairs
from contrast_core.similarity import Cosine


@final
class MomentumCACR(Objective):
    """CACR on MoCo v3: queries of several views of an instance compete for its key; s is the cosine.

    For each view of the keys, with k+ the key of instance i and q its queries in other views:

        p_q = softmax over the queries q of i of |q - k+|^2 / t, without gradient: a farther query is pulled harder
        rbf        L = mean_i sum_q p_q 2 t [ log sum_k exp(s_qk / t) - s_qk+ / t ], over all keys of this view
        euclidean  L = mean_i sum_q p_q [ (1 - s_qk+) - sum_{k != k+} r_k (1 - s_qk) ],
                   r = softmax over the negatives of -(1 - s_qk) / t, without gradient

    and the mean over the views of the keys. Shapes: anchors, the queries, (n, d), candidates, the keys, (m, d); the
    value is a scalar, `rows` counts instances, once for each view of the keys.

    Args:
        pairs: name of the pairs, as the sampler teacher-views gives them: positives of a query are keys of its sample.
        temperature: t; 1.0 for ResNet-50, 0.2 for ViT.
        cost: "rbf" or "euclidean"; the latter is half the squared distance.
        reduction: "mean" over instances, or their "sum", which is how the authors' code has the euclidean cost.

    Use: For CACR with large encoders, where a momentum encoder's keys replace a queue. With two views and the rbf cost
        it is exactly MoCo v3, its factor 2 t included.

    Cost: O(n m d) time for n queries and m keys of all views, as InfoNCE between them, and O((n + m) d) memory.

    Parity: Both losses of JegZheng/CACR-SSL's imagenet_pretraining, values and gradients to 1e-10 in float64 for one
        view of keys; its euclidean loss is a sum over instances (reduction="sum"), its rbf loss a mean.

    Raises:
        ValueError: if the temperature is not positive or an option unknown; in use, if the rows have no `sample` or
            `view`, or a relation names rows by their number.

    Paper: Contrastive Attraction and Contrastive Repulsion for Representation Learning, TMLR 2023, arXiv 2105.03746.
        Queries without a key (or, with the euclidean cost, a negative) in a view count nothing there; an instance
        without any other is dropped.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 1.0,
        cost: Literal["rbf", "euclidean"] = "rbf",
        reduction: Literal["mean", "sum"] = "mean",
    ):
        super().__init__()
        for name, value, known in (
            ("cost", cost, ("rbf", "euclidean")),
            ("reduction", reduction, ("mean", "sum")),
        ):
            if value not in known:
                raise ValueError(f"{name} is '{known[0]}' or '{known[1]}', not '{value}'.")
        self.needs = (pairs,)
        self.pairs, self.cost, self.reduction = pairs, cost, reduction
        self.similarity = Cosine()
        self.temperature = LogitScale(temperature).fixed

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs = outputs.pairs[self.pairs]
        queries = views_in_order(pairs.anchors)
        terms = []
        for view in views_in_order(pairs.candidates):
            others = [query for query in queries if query != view]
            if others:
                terms.append(self._towards(among(pairs, others, [view])))
        if not terms:
            raise ValueError(
                "A query's key is of another view of its sample, but queries and keys here are of one view alone; "
                "give the sampler at least two."
            )
        return mean_of_terms(terms)

    def _towards(self, pairs: Pairs) -> Term:
        """The loss against the keys of one view."""
        found = pairwise.contrast(pairs, pairs.positives | pairs.negatives, self.similarity, self.temperature)
        valid = found.weight > 0
        if self.cost == "rbf":
            losses = 2 * self.temperature * (found.denominator - found.positive)
        else:
            valid &= pairwise.weight(pairs, pairs.negatives) > 0
            nearest = pairwise.softmax_mean(
                None, pairs, pairs.negatives, self.similarity, self.temperature, detach_weights=True
            )
            losses = nearest - self.temperature * found.positive
        instances = Segments.of_instances(pairs.anchors)
        # |q - k|^2 / t = 2 / t - 2 s / t, and a constant changes no softmax.
        distances = torch.where(valid, -2 * found.positive.detach(), -torch.inf)
        total = torch.where(valid, instances.softmax(distances) * losses, 0.0).sum()
        rows = int((instances.sum(valid.long()) > 0).sum())
        value = total / max(rows, 1) if self.reduction == "mean" else total
        return Term(value, rows, instances.count - rows)
