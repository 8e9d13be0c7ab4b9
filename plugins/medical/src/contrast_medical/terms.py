"""What the terms of SepCLR compute, as functions of tables; each is also an objective of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs, Term
from contrast_core.objectives.alignment import Uniformity
from contrast_core.pairs import Pairs
from contrast_core.relations import everything, kernel, same
from contrast_core.similarity import NegativeDistance, WeightedSum


def aligned(a: Tensor, b: Tensor, tau: float, weight: float = 1.0, dropped: int = 0) -> Term:
    """mean_i |a_i - b_i|^2 / (2 tau) of rows (n, d); zero, with rows = 0, if there are none."""
    distances = (a - b).square().sum(1) / (2 * tau)
    return Term(distances.sum() / max(len(a), 1), rows=len(a), dropped=dropped, weight=weight)


def spread(rows: Tensor, tau: float, normalise: bool) -> Tensor:
    """log of the mean over pairs i < j of exp(-|x_i - x_j|^2 / (2 tau)), for rows (n, d)."""
    term = Uniformity("rows", t=1 / (2 * tau), normalise=normalise)(Outputs({"rows": Embeddings.of(rows)}, {}, {}))
    assert isinstance(term, Term)
    return term.value


def minus_entropy(fields: dict[str, Tensor], tau: float) -> Tensor:
    """mean_i log mean_j prod_f exp(-|f_i - f_j|^2 / (2 tau)), j = i included; minus a kernel estimate of the entropy.

    Args:
        fields: the variables, (n, d_f) each, already scaled; several make it the joint entropy.
        tau: of the kernels.
    """
    table = Embeddings(fields)
    parts = [NegativeDistance(field=name) for name in fields]
    kernels = WeightedSum(parts, [1.0] * len(parts)) if len(parts) > 1 else parts[0]
    rows = pairwise.logsumexp(Pairs(table, table, everything, everything), everything, kernels, 2 * tau)
    return rows.mean() - math.log(len(table))


def attribute_aligned(x: Tensor, attribute: Tensor, tau: float) -> Tensor:
    """mean over pairs i < j of exp(-(a_i - a_j)^2 / (2 tau)) (x_i - x_j)^2 of numbers x, a (n,); zero below two."""
    n = len(x)
    if n < 2:
        return x.sum() * 0.0
    table = Embeddings.of(x[:, None], attribute=attribute, row=torch.arange(n))
    alike = kernel("attribute", lambda a, b: torch.exp(-((a - b) ** 2) / (2 * tau)))
    pairs = Pairs(table, table, alike, ~same("row"))
    sums, _ = pairwise.weighted_sum(pairs, alike, NegativeDistance())
    return -sums.sum() / (n * (n - 1))


def unit(rows: Tensor) -> Tensor:
    """Rows of length one."""
    return functional.normalize(rows, dim=1)
