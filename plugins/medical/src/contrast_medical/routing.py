"""What independence terms share that train a network beside the encoders, without a step of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.interfaces import Term
from contrast_core.similarity.unit import unit_rows
from contrast_medical.spaces import anchored, mean_term


def paired_rows(table: Embeddings) -> tuple[Tensor, Tensor]:
    """c, common rows at unit length, (n, d), and s, salient rows with the background at the origin, (n, e)."""
    return unit_rows(at_least_float32(table["common"])), at_least_float32(anchored(table, "salient"))


def held(network: nn.Module, *rows: Tensor) -> Any:
    """The network of the rows, with gradients for the rows and none for its parameters."""
    return functional_call(network, {name: each.detach() for name, each in network.named_parameters()}, rows)


def mean_terms(views: Sequence[Mapping[str, Term]]) -> Mapping[str, Term]:
    """Terms of the same names in several views: the mean of each."""
    return {name: mean_term([terms[name] for terms in views]) for name in views[0]}


def nothing(common: Tensor, *names: str) -> Mapping[str, Term]:
    """Terms of too few rows: zero, with rows = 0."""
    return {name: Term(common.sum() * 0.0, rows=0) for name in names}
