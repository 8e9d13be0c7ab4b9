"""Which negatives a softmax loss pushes away: the relative penalty r_ij, its spread, and gradients of any objective."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from contrast_core import pairwise
from contrast_core.diagnostics.comparing import blocks
from contrast_core.diagnostics.histograms import bin_edges, bin_of
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.pairs import Pairs
from contrast_core.similarity import Cosine, Similarity


@frozen(eq=False)
class Penalties:
    """How each anchor's penalty is spread over its negatives, and how penalty grows with similarity; float64.

    An anchor without negatives has 0 everywhere. Bins without a pair have a mean of NaN.

    Args:
        negatives: (n,), how many negatives an anchor has.
        entropy: (n,), H_i = -sum_j r_ij log r_ij, from 0 (one negative takes all) to log of their number (all alike).
        top_1: (n,), the share of the most penalised negative.
        top_10: (n,), that of the ten most penalised.
        edges: (bins + 1,), where the bins of similarity begin and end; the outer ones also hold what lies beyond.
        count: (bins,), negative pairs in each.
        mean: (bins,), their mean r_ij.
    """

    negatives: Tensor
    entropy: Tensor
    top_1: Tensor
    top_10: Tensor
    edges: Tensor
    count: Tensor
    mean: Tensor

    @property
    def effective(self) -> Tensor:
        """exp(H_i), (n,): how many equally penalised negatives would have this entropy; 0 without negatives."""
        return torch.where(self.negatives > 0, self.entropy.exp(), 0.0)

    def summary(self) -> dict[str, float]:
        """Means over the anchors that have negatives; without any there is nothing but `anchors` = 0.

        Returns:
            anchors (how many of them), negatives, entropy, effective_negatives, top_1 and top_10.
        """
        known = self.negatives > 0
        parts = {
            "negatives": self.negatives,
            "entropy": self.entropy,
            "effective_negatives": self.effective,
            "top_1": self.top_1,
            "top_10": self.top_10,
        }
        means = {name: float(part[known].mean()) for name, part in parts.items()} if known.any() else {}
        return {"anchors": float(known.sum()), **means}


@torch.no_grad()
def penalties(
    pairs: Pairs,
    temperature: float = 0.1,
    similarity: Similarity | None = None,
    bins: int = 40,
    span: tuple[float, float] = (-1.0, 1.0),
) -> Penalties:
    """The relative penalty of negatives, r_ij = w_ij exp(s_ij / t) / sum_k w_ik exp(s_ik / t), in a few numbers.

    For InfoNCE with one positive, r_ij = |dL/ds_ij| / |dL/ds_ip|: it sums to 1 over the negatives of an anchor and is
    the more even the higher the temperature. Time O(n m d), memory O(n + m) and one block of pairs.

    Args:
        pairs: anchors (n rows) and candidates (m rows); see `paired` and `by_label`.
        temperature: t.
        similarity: s; cosine of z by default.
        bins: how many bins of similarity the curve has.
        span: where the first begins and the last ends.

    Raises:
        ValueError: if the temperature is not positive, there are no bins, or a similarity is not finite.

    Paper: Wang and Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021, arXiv 2012.09740.
    """
    _need_positive(temperature)
    edges = bin_edges(bins, span)
    count, sums = torch.zeros(2, bins, dtype=torch.float64)
    parts = []
    for _, values, (weights,) in blocks(pairs, similarity or Cosine(), pairs.negatives):
        shares, places, related = _shares(values, weights, temperature), bin_of(values, edges), weights > 0
        top = shares.topk(min(10, shares.shape[1]), dim=1).values.cpu()
        entropy = torch.special.entr(shares).sum(1).cpu()
        parts.append(torch.stack([related.sum(1).cpu(), entropy, top[:, :1].sum(1), top.sum(1)]))
        count += torch.bincount(places[related], minlength=bins).cpu()
        sums += torch.bincount(places[related], shares[related], minlength=bins).cpu()
    negatives, entropy, top_1, top_10 = torch.cat(parts, dim=1) if parts else torch.zeros(4, 0, dtype=torch.float64)
    return Penalties(negatives, entropy, top_1, top_10, edges, count, sums / count)


@torch.no_grad()
def relative_penalty(
    pairs: Pairs, temperature: float = 0.1, similarity: Similarity | None = None, rows: slice = slice(None)
) -> Tensor:
    """r_ij itself, float64, of some anchors (by default all, which takes n x m memory) and all candidates: (r, m).

    It is 0 where a candidate is no negative.

    Raises:
        ValueError: if the temperature is not positive or a similarity is not finite.
    """
    _need_positive(temperature)
    found = blocks(pairs, similarity or Cosine(), pairs.negatives, rows=rows)
    parts = [_shares(values, weights, temperature) for _, values, (weights,) in found]
    return torch.cat(parts) if parts else torch.zeros(0, len(pairs.candidates), dtype=torch.float64)


def score_gradients(objective: Objective, pairs: Pairs, similarity: Similarity | None = None) -> Tensor:
    """dL/ds_ij, (n, m), of any objective on one batch: which pairs it moves, and how much. Takes n x m memory.

    The similarities are computed first and given to the objective, which has to compare by them. For a softmax loss
    every row sums to 0: what pulls the positives equals what pushes the negatives.

    Args:
        objective: made with `similarity=Given()`, and with no other term than one; it sees these pairs under every
            name it needs.
        pairs: anchors (n rows) and candidates (m rows).
        similarity: s; cosine of z by default.

    Raises:
        ValueError: if the objective gives several terms, or does not use the given similarities.
    """
    with torch.no_grad():
        scores = pairwise.matrix(pairs, pairs.negatives, similarity or Cosine())[0]
    scores = scores.clone().requires_grad_()
    seen = Pairs(pairs.anchors.with_fields(scores=scores), pairs.candidates, pairs.positives, pairs.negatives)
    with torch.enable_grad():
        term = objective(Outputs({}, dict.fromkeys(objective.needs, seen), {}))
        if not isinstance(term, Term):
            raise ValueError(f"The gradient of one term is taken, but this objective gives {', '.join(term)}.")
        used = term.value.requires_grad
        gradient = torch.autograd.grad(term.value, scores, allow_unused=True)[0] if used else None
    if gradient is None:
        raise ValueError("The objective does not compare by the given similarities: make it with similarity=Given().")
    return gradient


def _shares(values: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """r_ij of a block; zeros for an anchor without negatives."""
    logits = torch.where(weights > 0, values / temperature + weights.log(), -torch.inf)
    return torch.where((weights > 0).any(1, keepdim=True), logits.softmax(1), 0.0)


def _need_positive(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"A temperature must be positive, not {temperature}.")
