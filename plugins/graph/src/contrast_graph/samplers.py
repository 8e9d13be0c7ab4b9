"""Pairs of MEOW and AdaMEOW: negatives weighed by clusterings or by a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.pairwise import additive_scores
from contrast_core.relations import differing, learned, same
from contrast_core.samplers.prototypes import same_samples


@final
class WeightedNegatives(PairSampler):
    """Every anchor with its own candidate as positive, and all others as negatives of weight

        w_ij = number of clusterings in which i and j lie in different clusters, 0 .. M.

    So w_ii = 0, and a candidate that shares the anchor's cluster everywhere, likely a false negative, is left out.
    The two tables hold the same samples in the same order; nothing else is asked of the encoder. Clusters are those of
    the candidates.

    Args:
        anchors, candidates: tables; memory: a `core/clusters` memory, written from the candidates; name: of the pairs.

    Paper: MEOW, SDM 2023, hard weights.
    """

    def __init__(
        self, anchors: str = "coarse", candidates: str = "fine", memory: str = "clusters", name: str = "pairs"
    ):
        super().__init__()
        self.anchors, self.candidates, self.memory, self.name = anchors, candidates, memory, name
        self.needs, self.gives = (*_with_samples(anchors, candidates), memory), (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """The one set of pairs.

        Raises:
            ValueError: if the tables hold different samples.
        """
        a, c = same_samples(flow, self.anchors, self.candidates)
        clusters = flow[self.memory].assignments(c.z)
        a, c = a.with_columns(cluster=clusters), c.with_columns(cluster=clusters)
        return {self.name: Pairs(a, c, same("sample"), differing("cluster"))}


@final
class WeightNetwork(nn.Module):
    """w(a, c) = sigmoid(w_2 . tanh(W_1 (a + c) + b_1) + b_2), for every pair of rows.

    W_1 is applied to the rows, not to the pairs: W_1 (a + c) = W_1 a + W_1 c, so a pair costs `hidden` numbers and not
    `width`.
    """

    def __init__(self, width: int, hidden: int = 16):
        super().__init__()
        self.rows = nn.Linear(width, hidden)
        self.pairs = nn.Linear(hidden, 1)

    def anchor_rows(self, a: Tensor) -> Tensor:
        """W_1 a + b_1, (n, hidden)."""
        return self.rows(a)  # type: ignore[no-any-return]

    def candidate_rows(self, c: Tensor) -> Tensor:
        """W_1 c, (m, hidden)."""
        return c @ self.rows.weight.T

    def between(self, a: Tensor, c: Tensor) -> Tensor:
        """Weights of broadcast rows (..., hidden), in (0, 1)."""
        return torch.sigmoid(additive_scores(a, c, self.pairs.weight[0]) + self.pairs.bias)

    def forward(self, a: Tensor, c: Tensor) -> Tensor:
        """Weights of broadcast rows (..., width), in (0, 1)."""
        return self.between(self.anchor_rows(a), self.candidate_rows(c))


@final
class AdaptiveNegatives(PairSampler):
    """Every anchor with its own candidate as positive, and all candidates, its own too, weighed by a network.

    The network is trained with the rest. Note that the loss falls without bound when all weights shrink; the objective
    `core/dcl` with `normalise_weights = true` divides them by their mean over each row, which removes that way out.

    Args:
        anchors, candidates: tables; hidden: units of the network; name: of the pairs.

    Raises:
        ValueError: if hidden is below 1.

    Paper: AdaMEOW, IEEE TKDE 2024, soft weights.
    """

    def __init__(self, anchors: str = "fine", candidates: str = "coarse", hidden: int = 16, name: str = "pairs"):
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden = {hidden} must be at least 1: it is the number of the network's units.")
        self.anchors, self.candidates, self.hidden, self.name = anchors, candidates, hidden, name
        self.needs, self.gives = _with_samples(anchors, candidates), (name,)

    def prepare(self, flow: Flow) -> None:
        """Make the network in the width of the rows."""
        self.network = WeightNetwork(flow[self.anchors].z.shape[1], self.hidden)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """The one set of pairs.

        Raises:
            ValueError: if the tables hold different samples.
        """
        a, c = same_samples(flow, self.anchors, self.candidates)
        return {self.name: Pairs(a, c, same("sample"), learned(self.network))}


def _with_samples(a: str, b: str) -> tuple[str, ...]:
    return (a, b, f"{a}.sample", f"{b}.sample")
