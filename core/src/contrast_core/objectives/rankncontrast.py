"""Rank-N-Contrast: rows nearer in label are to be nearer in embedding, at every rank."""

from __future__ import annotations

from typing import final

import torch
from attrs import frozen
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.temperature import LogitScale
from contrast_core.pairs import Pairs
from contrast_core.relations import Block, Relation
from contrast_core.relations.graded import numbers
from contrast_core.similarity import NegativeDistance, Similarity


@final
class RankNContrast(Objective):
    """L = mean over ordered pairs (i, j) of -log[ exp(l_ij) / sum_{k in S_ij} exp(l_ik) ], l = s / t.

    S_ij holds the candidates k that are no nearer to i in label than j is: D_ik >= D_ij, with D the L1 distance of
    labels. Candidates of one distance share a denominator. Shapes: anchors (n, d), candidates (m, d), labels (n,) or
    (n, k); the value is a scalar.

    Args:
        pairs: name of the pairs; j and k run over an anchor's positives and negatives, whatever their weights. With
            those of `TwoViews` or `NearLabels` that is every row but its own.
        temperature: t.
        label: name of the column of labels.
        similarity: s; minus the Euclidean distance of z by default, not squared, of rows as long as they are.

    The term's `rows` are pairs, `dropped` are anchors without any.

    Use: for embeddings of a number that are to keep its order, with no scale of label distance to choose; every pair
    has a term, so rows of labels that occur once count as well.

    Cost: O(n m (d + log m)) time, for exact distances and for sorting each row, and memory for the tables and a block
    of rows; tens of times as slow as InfoNCE of the same rows. The authors' code takes O(n^3) time and O(n^2) memory.

    Parity: Rank-N-Contrast (kaiwenzha/Rank-N-Contrast), label_diff "l1" and feature_sim "l2", values and gradients in
    float64 to 1e-10.

    Raises:
        ValueError: if the temperature is not positive; in use, if a table lacks the labels, they are of different
            shapes, or one is NaN.

    Paper: arXiv 2210.01189.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        temperature: float = 2.0,
        label: str = "label",
        similarity: Similarity | None = None,
    ):
        super().__init__()
        self.needs = (pairs,)
        self.pairs, self.label = pairs, label
        self.similarity = similarity if similarity is not None else NegativeDistance(power=1.0)
        self.temperature = LogitScale(temperature)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; without any pair zero."""
        pairs = outputs.pairs[self.pairs]
        everyone = pairs.positives | pairs.negatives
        ranks = _Ranks(pairs, everyone.prepared(pairs.anchors, pairs.candidates), *_labels(pairs, self.label))
        temperature = self.temperature()
        losses = pairwise.sum_of(
            lambda similarities, rows: ranks.losses(similarities / temperature, rows),
            pairs,
            everyone,
            self.similarity,
            rowwise=True,
        )
        count = pairwise.weight(pairs, everyone)
        total = int(count.sum())
        return Term(losses.sum() / max(total, 1), rows=total, dropped=int((count == 0).sum()))


@frozen(eq=False)
class _Ranks:
    """Who is how far from whom in label: tables, the relation of those who are compared, and labels (n, k), (m, k)."""

    pairs: Pairs
    everyone: Relation
    ours: Tensor
    theirs: Tensor

    def losses(self, logits: Tensor, rows: slice) -> Tensor:
        """log sum_{k in S_ij} exp(l_ik) - l_ij, (r, m), of a block of anchors; of no meaning where not related."""
        m = len(self.theirs)
        related = self.everyone.weigh(Block.tile(self.pairs.anchors, self.pairs.candidates, rows, slice(0, m)))
        # Ascending, so that the farthest come first, everyone's denominator is a running sum, and the unrelated,
        # behind all others, are in nobody's.
        nearness = torch.where(related, -torch.cdist(self.ours[rows], self.theirs, p=1), 1.0)
        nearness, order = nearness.sort(1)
        last = torch.searchsorted(nearness, nearness, right=True) - 1
        ordered = logits.gather(1, order)
        sums = ordered.logcumsumexp(1).gather(1, last)
        return torch.empty_like(logits).scatter(1, order, sums - ordered)


def _labels(pairs: Pairs, name: str) -> tuple[Tensor, Tensor]:
    """The labels of anchors and candidates, (n, k) and (m, k), in one floating-point type."""
    found = []
    for side, table in (("anchors", pairs.anchors), ("candidates", pairs.candidates)):
        if name not in table:
            have = ", ".join([*table.fields, *table.columns])
            raise ValueError(f"Rank-N-Contrast goes by the column '{name}', which the {side} lack; they have {have}.")
        label = numbers(table[name])[:, None].flatten(1)
        if label.isnan().any():
            raise ValueError(
                f"A label of the {side} is NaN, which has no rank; the sampler core/near-labels leaves such rows out."
            )
        found.append(label)
    ours, theirs = found
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(
            f"Labels of anchors and candidates are compared, but have {ours.shape[1]} and {theirs.shape[1]} numbers."
        )
    kind = torch.promote_types(ours.dtype, theirs.dtype)
    return ours.to(kind), theirs.to(kind)
