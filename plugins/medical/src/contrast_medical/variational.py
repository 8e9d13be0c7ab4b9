"""Mutual information of both spaces, bounded by a conditional Gaussian that is fitted beside: vCLUB, vUB, vL1out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.encoders.heads import projection_head
from contrast_core.interfaces import Flow, Objective, Outputs, Term
from contrast_core.pairs import Pairs
from contrast_core.relations import everything, same
from contrast_core.similarity import Dot
from contrast_medical.routing import held, mean_terms, nothing, paired_rows
from contrast_medical.spaces import needed

LOG_2PI = math.log(2 * math.pi)
LARGEST = 5.0

Bound = Callable[[Tensor, Tensor, Tensor], Tensor]


@final
class ConditionalGaussian(nn.Module):
    """q(s | c) = N(mu(c), diag exp(l(c))), with mu and l of one network with a hidden layer.

    l = 5 tanh(l' / 5) of the network's l', so that rows which coincide, as those of the background at the origin do,
    can't draw the density to infinity.

    Args:
        hidden: width of the hidden layer.

    Raises:
        ValueError: if the width is below 1.
    """

    def __init__(self, hidden: int):
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden = {hidden} must be at least 1.")
        self.hidden = hidden
        self.network: nn.Module = nn.Identity()

    def build(self, table: Embeddings) -> None:
        """Make the layers for the dimensions of both spaces; once, before any use."""
        common, salient = table["common"], table["salient"]
        network = projection_head(common.shape[1], [self.hidden, 2 * salient.shape[1]])
        self.network = network.to(common.device)

    def forward(self, common: Tensor) -> tuple[Tensor, Tensor]:
        """mu (n, e) and l (n, e) of common rows (n, d)."""
        mean, logarithm = at_least_float32(self.network(common.to(next(self.network.parameters())))).chunk(2, 1)
        return mean, LARGEST * (logarithm / LARGEST).tanh()


def log_density(mean: Tensor, logarithm: Tensor, salient: Tensor) -> Tensor:
    """log q(s_i | c_i), (n,)."""
    return -0.5 * ((salient - mean).square() * (-logarithm).exp() + logarithm + LOG_2PI).sum(1)


def club(mean: Tensor, logarithm: Tensor, salient: Tensor) -> Tensor:
    """mean_i log q(s_i | c_i) - mean_ij log q(s_j | c_i), where the mean over j takes no more than two moments of s."""
    centre, spread = salient.mean(0), salient.var(0, correction=0)
    crossed = -0.5 * (((mean - centre).square() + spread) * (-logarithm).exp() + logarithm + LOG_2PI).sum(1)
    return (log_density(mean, logarithm, salient) - crossed).mean()


def against_prior(mean: Tensor, logarithm: Tensor, salient: Tensor) -> Tensor:
    """mean_i log q(s_i | c_i) - log r(s_i), r the standard normal."""
    return (log_density(mean, logarithm, salient) + 0.5 * (salient.square() + LOG_2PI).sum(1)).mean()


def against_others(mean: Tensor, logarithm: Tensor, salient: Tensor) -> Tensor:
    """mean_i log q(s_i | c_i) - log mean_{j != i} q(s_i | c_j).

    log q(s_i | c_j) is an inner product of (s^2, s, 1) with (-p / 2, p mu, rest), p = exp(-l): no n x n x e array.
    """
    count = len(salient)
    place = torch.arange(count, device=salient.device)
    precision = (-logarithm).exp()
    rest = -0.5 * (precision * mean.square() + logarithm + LOG_2PI).sum(1, keepdim=True)
    anchors = torch.cat([salient.square(), salient, torch.ones_like(rest)], 1)
    candidates = torch.cat([-0.5 * precision, precision * mean, rest], 1)
    ours, theirs = (Embeddings.of(rows, place=place) for rows in (anchors, candidates))
    others = pairwise.logsumexp(Pairs(ours, theirs, everything, everything), ~same("place"), Dot(), 1.0)
    return (log_density(mean, logarithm, salient) - others).mean() + math.log(count - 1)


class GaussianBound(Objective):
    """A bound of the mutual information by the fitted Gaussian: what the three below share.

    Two terms: the bound's gradients are the rows' alone, those of minus the log-likelihood the Gaussian's alone.

    Args:
        views: tables with fields `common` (n, d) and `salient` (n, e) and the column `role`; terms are their means.
        hidden: width of the Gaussian's hidden layer.
        bound: of mu (n, e), l (n, e) and salient rows (n, e), a scalar.
    """

    def __init__(self, views: Sequence[str], hidden: int, bound: Bound):
        super().__init__()
        self.needs = needed(views, "common", "salient", "role")
        self.views, self.bound = tuple(views), bound
        self.gaussian = ConditionalGaussian(hidden)

    def prepare(self, flow: Flow) -> None:
        """Make the network."""
        self.gaussian.build(flow[self.views[0]])

    def forward(self, outputs: Outputs) -> Mapping[str, Term]:
        """The terms "penalty" and "likelihood"."""
        return mean_terms([self._terms(outputs.tables[view]) for view in self.views])

    def _terms(self, table: Embeddings) -> Mapping[str, Term]:
        common, salient = paired_rows(table)
        count = len(common)
        if count < 2:
            return nothing(common, "penalty", "likelihood")
        mean, logarithm = held(self.gaussian, common)
        penalty = self.bound(mean, logarithm, salient)
        mean, logarithm = self.gaussian(common.detach())
        likelihood = -log_density(mean, logarithm, salient.detach()).mean()
        return {"penalty": Term(penalty, count), "likelihood": Term(likelihood, count)}


@final
class ClubBound(GaussianBound):
    """vCLUB, a contrastive upper bound: L = mean_i log q(s_i | c_i) - mean_ij log q(s_j | c_i).

    c are common rows at unit length, s salient rows with the background at the origin, q(s | c) a Gaussian with a
    diagonal covariance, both of which a network gives; see `ConditionalGaussian`. There are two terms: "penalty" is L,
    with no gradient for q; "likelihood" is -mean_i log q(s_i | c_i), with none for the rows. So one backward pass and
    one optimiser do what the authors of the bound do in turn.

    Args:
        views: tables with fields `common` (n, d) and `salient` (n, e) and the column `role`; terms are their means.
        hidden: width of q's hidden layer.

    Use: A baseline of SepCLR, in the joint entropy's place; a factor on both terms only matters for the penalty where
        the optimiser is blind to a gradient's scale, as Adam is. It bounds from above only as far as q is right.

    Cost: O(n (d + e) hidden) time and O(n (d + e + hidden)) memory for each view; no pairs are formed.

    Parity: none; plain loops, and the closed form for a Gaussian channel.

    Raises:
        ValueError: if there is no view or the width is below 1.

    Paper: Cheng et al., CLUB, ICML 2020, arXiv 2006.12013, whose code trains q in steps of its own; as a baseline in
        Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), hidden: int = 64):
        super().__init__(views, hidden, club)


@final
class PriorBound(GaussianBound):
    """vUB, the variational upper bound with a fixed prior: L = mean_i log q(s_i | c_i) - log r(s_i).

    r is the standard normal; everything else is as in `ClubBound`, terms "penalty" and "likelihood" too.

    Args:
        views: tables with fields `common` (n, d) and `salient` (n, e) and the column `role`; terms are their means.
        hidden: width of q's hidden layer.

    Use: A baseline of SepCLR, in the joint entropy's place. It also draws salient rows towards the prior, against
        uniformity, and is loose where they are not distributed so.

    Cost: O(n (d + e) hidden) time and O(n (d + e + hidden)) memory for each view; no pairs are formed.

    Parity: none; plain loops.

    Raises:
        ValueError: if there is no view or the width is below 1.

    Paper: Alemi et al., ICLR 2017, arXiv 1612.00410, where q is the encoder itself; as a baseline in Louiset et al.,
        SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), hidden: int = 64):
        super().__init__(views, hidden, against_prior)


@final
class LeaveOneOutBound(GaussianBound):
    """vL1out, the leave-one-out bound: L = mean_i log q(s_i | c_i) - log mean_{j != i} q(s_i | c_j).

    The other rows of the batch stand for the marginal distribution of s; everything else is as in `ClubBound`, terms
    "penalty" and "likelihood" too.

    Args:
        views: tables with fields `common` (n, d) and `salient` (n, e) and the column `role`; terms are their means.
        hidden: width of q's hidden layer.

    Use: A baseline of SepCLR, in the joint entropy's place. An upper bound if q is right, and much tighter than vCLUB.

    Cost: O(n^2 e + n (d + e) hidden) time and O(n (d + e + hidden)) memory for each view, in tiles.

    Parity: none; plain loops.

    Raises:
        ValueError: if there is no view or the width is below 1.

    Paper: Poole et al., ICML 2019, arXiv 1905.06922, where q is the encoder itself; as a baseline in Louiset et al.,
        SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), hidden: int = 64):
        super().__init__(views, hidden, against_others)
