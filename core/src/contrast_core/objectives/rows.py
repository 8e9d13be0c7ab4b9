"""What the objectives share: the average of rows, the mean positive logit, the denominators."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Term
from contrast_core.pairs import Pairs
from contrast_core.pairwise import Contrast, Temperature
from contrast_core.relations import Relation, everything
from contrast_core.similarity import Cosine, Similarity


def similarity_or_cosine(similarity: Similarity | None) -> Similarity:
    """The given similarity, or the cosine of the field z."""
    return similarity if similarity is not None else Cosine()


def average(losses: Tensor, valid: Tensor, **scalars: float) -> Term:
    """The mean of the valid rows' losses, (n,); without any, a zero whose gradient is zero.

    The others are counted as dropped; their losses may be infinite.
    """
    rows = int(valid.sum())
    kept = losses if rows == len(losses) else torch.where(valid, losses, 0.0)
    return Term(kept.sum() / max(rows, 1), rows=rows, dropped=len(losses) - rows, scalars=scalars)


def attraction(pairs: Pairs, similarity: Similarity, temperature: Temperature) -> tuple[Tensor, Tensor]:
    """(mean logit of the positives, weighted by their weights; sum of these weights), (n,) each.

    The mean is 0 for a row without positives.
    """
    sums, total = pairwise.weighted_sum(pairs, pairs.positives, similarity, temperature)
    return sums / torch.where(total > 0, total, 1.0), total


def contrast(pairs: Pairs, similarity: Similarity, temperature: Temperature, normalise_weights: bool = False) -> Tensor:
    """log of sum_j d_ij exp(l_ij), (n,), the denominator in which positives stand beside negatives.

    d_ij = 1 for a positive (whatever weight it has: that only says how it shares the attraction) and the
    negative's weight w_ij for any other candidate. So a candidate that is both counts once, as a positive,
    and with 0/1 relations this is the log-sum-exp over positives | negatives, computed in one pass.
    """
    positives, negatives = pairs.positives, pairs.negatives
    if positives.binary and negatives.binary:
        return pairwise.logsumexp(pairs, positives | negatives, similarity, temperature)
    own = pairwise.logsumexp(pairs, positives & everything, similarity, temperature)
    others = repulsion(pairs, negatives * ~positives, similarity, temperature, normalise_weights)
    # log(0 + 0) has no finite derivative; a row without positives keeps its negatives alone.
    has_own = own != -math.inf
    return torch.where(has_own, torch.logaddexp(torch.where(has_own, own, 0.0), others), others)


def against_everyone(
    pairs: Pairs, similarity: Similarity, temperature: Temperature, normalise_weights: bool = False, both: bool = False
) -> list[Contrast]:
    """The denominator of `contrast` with the mean positive logit, and, for `both`, those of the swapped pairs."""
    if pairs.positives.binary and pairs.negatives.binary:
        return _contrasts(pairs, pairs.positives | pairs.negatives, similarity, temperature, both)
    found = []
    for each in (pairs, pairs.swapped()) if both else (pairs,):
        denominator = contrast(each, similarity, temperature, normalise_weights)
        found.append(Contrast(denominator, *attraction(each, similarity, temperature)))
    return found


def against_negatives(
    pairs: Pairs, similarity: Similarity, temperature: Temperature, normalise_weights: bool = False, both: bool = False
) -> list[Contrast]:
    """The denominator of `repulsion` with the mean positive logit, and, for `both`, those of the swapped pairs."""
    found = _contrasts(pairs, pairs.negatives, similarity, temperature, both)
    if normalise_weights:
        sides = (pairs, pairs.swapped()) if both else (pairs,)
        found = [c._replace(denominator=_by_mean(c.denominator, p)) for c, p in zip(found, sides, strict=True)]
    return found


def _contrasts(
    pairs: Pairs, denominator: Relation, similarity: Similarity, temperature: Temperature, both: bool
) -> list[Contrast]:
    if both:
        return list(pairwise.two_sided_contrast(pairs, denominator, similarity, temperature))
    return [pairwise.contrast(pairs, denominator, similarity, temperature)]


def repulsion(
    pairs: Pairs,
    negatives: Relation,
    similarity: Similarity,
    temperature: Temperature,
    normalise_weights: bool,
) -> Tensor:
    """log of sum_j w_ij exp(l_ij), (n,), over negatives alone.

    Optionally each w_ij is divided by their mean over all j."""
    result = pairwise.logsumexp(pairs, negatives, similarity, temperature)
    return _by_mean(result, pairs, negatives) if normalise_weights else result


def _by_mean(logarithm: Tensor, pairs: Pairs, negatives: Relation | None = None) -> Tensor:
    mean = mean_weight(pairs, pairs.negatives if negatives is None else negatives)
    return logarithm - torch.where(mean > 0, mean, 1.0).log()


def mean_weight(pairs: Pairs, relation: Relation) -> Tensor:
    """(1/m) sum_j w_ij, (n,): the mean weight over all m candidates."""
    return pairwise.weight(pairs, relation) / max(len(pairs.candidates), 1)
