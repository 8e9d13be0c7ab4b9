"""How much positives and negatives weaken each other's gradients in InfoNCE."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.pairs import Pairs
from contrast_core.relations import everything
from contrast_core.similarity import Cosine, Similarity


@torch.no_grad()
def npc_multiplier(pairs: Pairs, similarity: Similarity | None = None, temperature: float = 0.1) -> Tensor:
    """The negative-positive-coupling multiplier of each anchor, q_i = U_i / (U_i + sum_{p in P_i} exp(l_ip)), (n,).

    U_i = sum_j w_ij exp(l_ij) over the negatives, l = s / t. InfoNCE multiplies the whole gradient of anchor i by q_i,
    which decoupling (DCL) makes 1. It is 0 without negatives, and NaN for an anchor without positives, which has no
    gradient.

    Args:
        pairs: anchors (n rows) and candidates (m rows).
        similarity: s; cosine of z by default.
        temperature: t.

    Raises:
        ValueError: if the temperature is not positive.

    Paper: Yeh et al., Decoupled Contrastive Learning, ECCV 2022, arXiv 2110.06848.
    """
    if temperature <= 0:
        raise ValueError(f"A temperature must be positive, not {temperature}.")
    similarity = similarity if similarity is not None else Cosine()
    own = pairwise.logsumexp(pairs, pairs.positives & everything, similarity, temperature)
    others = pairwise.logsumexp(pairs, pairs.negatives, similarity, temperature)
    return torch.where(own > -math.inf, torch.sigmoid(others - own), math.nan)


def coupling(multipliers: Tensor) -> dict[str, float]:
    """Mean of the multipliers q, (n,), and their coefficient of variation: deviation (of the n, not n - 1) over mean.

    Small batches have a low mean and a large variation, which large ones lose. NaN are left out; without any other
    number both are NaN, and so is the variation where the mean is 0.
    """
    known = multipliers[~multipliers.isnan()].double()
    mean = float(known.mean())
    variation = float(known.std(correction=0)) / mean if mean > 0 else math.nan
    return {"npc_mean": mean, "npc_variation": variation}
