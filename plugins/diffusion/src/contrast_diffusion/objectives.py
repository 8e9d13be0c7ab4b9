"""The denoising loss as a term, and the multiscale appearance contrast (MACL)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import average
from contrast_core.pairs import Pairs
from contrast_core.relations import Relation, kernel

SMALL = 2**18
"""Pairs times layers up to which MACL computes all layers in one tensor."""


@final
class Denoising(Objective):
    """L = mean over rows and entries of (prediction - target)^2.

    Args:
        table: with the fields `prediction` and `target`, (n, ...); what the target is, the noise or the velocity, is
            the encoder's affair.

    Shapes: any; the value is a scalar.

    Use: Beside contrastive terms, in diffusion models. Lowest for an encoder that tells everything about the picture: a
        bad measure to choose a model of subjects by.

    Cost: O(entries).

    Parity: torch's mse_loss, values and gradients to 1e-10 in float64; half precision is summed in float32.

    Raises:
        ValueError: if prediction and target have different shapes.

    Papers: Ho et al., arXiv 2006.11239 (noise); Salimans and Ho, arXiv 2202.00512 (velocity).
    """

    def __init__(self, table: str = "denoising"):
        super().__init__()
        self.table, self.needs = table, (table, f"{table}.prediction", f"{table}.target")

    def forward(self, outputs: Outputs) -> Term:
        """The mean squared error."""
        table = outputs.tables[self.table]
        prediction, target = (at_least_float32(table[name]) for name in ("prediction", "target"))
        if prediction.shape != target.shape:
            raise ValueError(f"The prediction is {tuple(prediction.shape)}, its target {tuple(target.shape)}.")
        losses = (prediction - target.detach()).square().flatten(1).mean(1)
        return average(losses, torch.ones_like(losses, dtype=torch.bool))


@final
class MultiscaleAppearance(Objective):
    """MACL: at every layer of the U-Net a subject is near its own other views, and others as far as they look apart.

        L = mean_l mean_i -log( S_i / (S_i + sum_j w_ij exp(c_ij / t)) ),  S_i = mean_p exp(c_ip / t)
        weight: w_ij = (1 - r_ij) / mean_j (1 - r_ij);  margin: w_ij = exp(-margin r_ij / t);  none: w_ij = 1

    c is the cosine of layer l's rows, p runs over the anchor's positives, j over its negatives, and
    r_ij = (1 + cos(f_i, f_j)) / 2 is the likeness of the real subjects, by a column f, without gradient. In weight mode
    a negative with r_ij = 1 exerts no force. Rows without a positive or without a (weighted) negative are dropped.

    Args:
        pairs: name of the pairs, whose tables have the field `field` and, unless scaling is "none", the column `real`.
        field: rows of all layers, (n, L, d).
        real: f, (n, k).
        scaling: "weight", "margin" or "none".
        margin: gamma, of the margin mode.
        temperature: t.

    Shapes: anchors (n, L, d), candidates (m, L, d); the value is a scalar.

    Use: For codes of subjects, or of anything that has parts at several scales, where some negatives are more alike
        than others and a network that is not trained can say how much.

    Cost: O(L n m d) time. Up to 2^18 pairs times layers all layers are one tensor; beyond, tiles for memory, and the
        likeness is computed anew for every layer, O(n m k).

    Parity: no code is public. Loops over the equation to 1e-10 in float64, values and gradients; with equal r and one
        positive it is InfoNCE.

    Raises:
        ValueError: if the temperature is not positive or the margin negative; in use, if there are no layers.

    Paper: CustomContrast, arXiv 2409.05606. Certain: layers, positives, negatives, and factors by which distances to
    negatives follow those of the real subjects. The form of these factors is ours.
    """

    def __init__(
        self,
        pairs: str = "appearance",
        field: str = "layers",
        real: str = "appearance",
        scaling: Literal["weight", "margin", "none"] = "weight",
        margin: float = 0.5,
        temperature: float = 0.07,
    ):
        super().__init__()
        if temperature <= 0 or margin < 0:
            raise ValueError(f"temperature = {temperature} must be more than 0 and margin = {margin} at least 0.")
        self.pairs, self.field, self.real = pairs, field, real
        self.scaling, self.margin, self.temperature = scaling, margin, temperature
        self.needs = (pairs,)

    def forward(self, outputs: Outputs) -> Term:
        """The mean over layers."""
        pairs = outputs.pairs[self.pairs]
        layers = pairs.anchors[self.field].shape[1]
        if not layers:
            raise ValueError(f"The field '{self.field}' has no layers.")
        negatives, offset = self._scaled(pairs)
        sums = _at_once if layers * len(pairs.anchors) * len(pairs.candidates) <= SMALL else _one_by_one
        count = pairwise.weight(pairs, pairs.positives)
        positive, negative = sums(pairs, self.field, (pairs.positives, negatives), self.temperature)
        # Which rows count depends on columns alone, so it is the same at every layer.
        valid = (count > 0) & (negative[0] != -math.inf)
        gap = negative - positive + (count.clamp(min=1).log() - offset).to(positive)
        return average(functional.softplus(torch.where(valid, gap, 0.0)).mean(0), valid)

    def _scaled(self, pairs: Pairs) -> tuple[Relation, Tensor | float]:
        """The negatives with their factors, and the logarithm of the factors' mean."""
        if self.scaling == "none":
            return pairs.negatives, 0.0
        if self.scaling == "margin":
            return pairs.negatives * kernel(self.real, self._push), 0.0
        scaled = pairs.negatives * kernel(self.real, unlike)
        total, count = pairwise.weight(pairs, scaled), pairwise.weight(pairs, pairs.negatives)
        mean = total / count.clamp(min=1)
        return scaled, torch.where(mean > 0, mean, 1.0).log()

    def _push(self, a: Tensor, c: Tensor) -> Tensor:
        return torch.exp(-self.margin / self.temperature * (1 - unlike(a, c)))


def unlike(a: Tensor, c: Tensor) -> Tensor:
    """1 - r = (1 - cos) / 2 of two features (..., k), in [0, 1]."""
    # Of subjects that look nearly the same little is left of 1 - cos, so it is not rounded to float32.
    return ((1 - functional.cosine_similarity(a.double(), c.double(), dim=-1)) / 2).clamp(0, 1)


def _one_by_one(pairs: Pairs, field: str, relations: Sequence[Relation], temperature: float) -> list[Tensor]:
    """log sum_j w_ij exp(c_ij / t) of all layers, (L, n), for each relation."""
    found: list[list[Tensor]] = [[] for _ in relations]
    for layer in range(pairs.anchors[field].shape[1]):
        anchors, candidates = (_layer(t, field, layer) for t in (pairs.anchors, pairs.candidates))
        one = Pairs(anchors, candidates, pairs.positives, pairs.negatives)
        for relation, rows in zip(relations, found, strict=True):
            rows.append(pairwise.logsumexp(one, relation, temperature=temperature))
    return [torch.stack(rows) for rows in found]


def _at_once(pairs: Pairs, field: str, relations: Sequence[Relation], temperature: float) -> list[Tensor]:
    """The same from one tensor (L, n, m): where there are few pairs, the number of operations is what costs."""
    device = pairs.anchors.device.type
    with torch.autocast(device, enabled=False):
        anchors, candidates = (_layer(t, field, 0) for t in (pairs.anchors, pairs.candidates))
        first = Pairs(anchors, candidates, pairs.positives, pairs.negatives)
        a, c = (
            functional.normalize(at_least_float32(t[field]).transpose(0, 1), dim=2)
            for t in (pairs.anchors, pairs.candidates)
        )
        logits = a @ c.transpose(1, 2) / temperature
        found = []
        for relation in relations:
            weights = pairwise.matrix(first, relation)[1].detach()
            some = (weights > 0).any(1)
            # A row without partners is -inf, as the engine has it, and must not make a gradient NaN.
            level = torch.where(some[:, None], weights.to(logits).log(), 0.0)
            found.append(torch.where(some, (logits + level).logsumexp(2), -torch.inf))
        return found


def _layer(table: Embeddings, field: str, layer: int) -> Embeddings:
    return table.with_fields(z=table[field][:, layer])
