"""How similar positives, negatives and the hardest negatives are: histograms, counted block by block."""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.diagnostics.comparing import blocks
from contrast_core.pairs import Pairs
from contrast_core.similarity import Cosine, Similarity


@frozen(eq=False)
class Histograms:
    """Numbers of pairs in equal bins of similarity, float64.

    Args:
        edges: (bins + 1,), where bins begin and end; the outer bins also hold whatever lies beyond them.
        positives: (bins,), the pairs of an anchor and a positive.
        negatives: (bins,), those of an anchor and a negative.
        hardest: (bins,), those of an anchor and one of its k most similar negatives.
    """

    edges: Tensor
    positives: Tensor
    negatives: Tensor
    hardest: Tensor

    @property
    def centres(self) -> Tensor:
        """The middle of each bin, (bins,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2


@torch.no_grad()
def similarity_histograms(
    pairs: Pairs,
    similarity: Similarity | None = None,
    k: int = 10,
    bins: int = 80,
    span: tuple[float, float] = (-1.0, 1.0),
) -> Histograms:
    """Count the similarities s_ij of all positive pairs, all negative pairs and each anchor's k hardest negatives.

    A pair counts as one, whatever its weight; an anchor with fewer than k negatives counts those it has. Time
    O(n m d), memory O(n + m) and one block of pairs.

    Args:
        pairs: anchors (n rows) and candidates (m rows); see `paired` and `by_label`.
        similarity: s; cosine of z by default.
        k: how many of the nearest negatives are the hardest.
        bins: how many bins of equal width.
        span: where the first begins and the last ends.

    Raises:
        ValueError: if k or bins is below 1, the span is empty, or a similarity is not finite.

    Paper: Wang and Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021, with k = 10: a small temperature
    puts a wide gap between positives and hardest negatives.
    """
    if k < 1:
        raise ValueError(f"The hardest negatives are at least one an anchor: k >= 1, not {k}.")
    edges = bin_edges(bins, span)
    counts = [torch.zeros(bins, dtype=torch.float64) for _ in range(3)]
    for _, values, (positive, negative) in blocks(pairs, similarity or Cosine(), pairs.positives, pairs.negatives):
        places = bin_of(values, edges)
        hard, where = torch.where(negative > 0, values, -math.inf).topk(min(k, values.shape[1]), dim=1)
        for count, chosen in zip(
            counts,
            (places[positive > 0], places[negative > 0], places.gather(1, where)[hard > -math.inf]),
            strict=True,
        ):
            count += torch.bincount(chosen, minlength=bins).cpu()
    return Histograms(edges, *counts)


def bin_edges(bins: int, span: tuple[float, float]) -> Tensor:
    """The edges of equal bins, float64, (bins + 1,); ValueError if there can't be any."""
    if bins < 1 or not span[0] < span[1]:
        raise ValueError(f"Bins need a number of at least 1 and a span from less to more, not {bins} in {span}.")
    return torch.linspace(*span, bins + 1, dtype=torch.float64)


def bin_of(values: Tensor, edges: Tensor) -> Tensor:
    """The number of the bin of each value; those beyond the outer edges belong to the outer bins."""
    first, last, bins = float(edges[0]), float(edges[-1]), len(edges) - 1
    return ((values - first) * (bins / (last - first))).floor_().clamp_(0, bins - 1).long()
