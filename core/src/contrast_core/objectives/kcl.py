"""Kernel contrastive loss."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.listing import listed_pairs, similarities
from contrast_core.objectives.of_views import among, at_least_two_views, views_in_order
from contrast_core.objectives.rows import average
from contrast_core.objectives.segments import Segments
from contrast_core.pairs import Pairs
from contrast_core.similarity import Cosine

CLOSEST = 1e-12
"""Squared distances of the Riesz kernel below this count as this: its slope at 0 is infinite."""


@final
class KCL(Objective):
    """Kernel contrastive loss: L = 2 mean_r [ gamma mean_{c in N_r} K(z_r, z_c) - mean_{p in P_r} K(z_r, z_p) ].

    r goes through the rows of all views, N_r are its negatives of its own view, P_r its positives, and rows are scaled
    to unit length. With two views a and b this is gamma [ mean_{i<j} K(a_i, a_j) + mean_{i<j} K(b_i, b_j) ] -
    2 mean_i K(a_i, b_i); with more, the average of that over all pairs of views. With D = |x - y|:

        gaussian  exp(-t D^2)       imq    c / sqrt(c^2 + D^2)
        log       -log(1 + t D^2)   riesz  D^-s for s > 0, -D^-s for s < 0

    Shapes: anchors (n, d), candidates (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs of all rows of all views, as the sampler two-views gives them; weights of positives
            are not used.
        kernel: K.
        gamma: factor of the energy.
        t: of the gaussian and the log kernel.
        s: of the riesz kernel, not 0; with s > 0 positives that nearly coincide dominate everything, so D^2 is kept
            at 1e-12 or more.
        c: of the imq kernel.
        halve_log_energy: halve the energy of the log kernel alone, as the authors' code does; it is the same as half
            the gamma.

    Use: Where the loss should not depend on the batch's size in expectation: it has no logarithm of a sum, so its
        mini-batch gradients are unbiased.

    Cost: O(N M^2 d) time for N views of M instances, half of InfoNCE with two views, and O(N M d) memory; the
        gaussian kernel takes the hand-written log-sum-exp, the others plain blocks.

    Parity: KCL of pakoromilas/DHEL-KCL with the gaussian, log and imq kernels, values and gradients to 1e-10 in
        float64. There one parameter is t, s or c, and the log kernel has a factor 1/2 in the energy but not in the
        alignment (`halve_log_energy`). The riesz kernel has no golden case.

    Raises:
        ValueError: for an unknown kernel, t or c not positive, or s = 0; in use, if the rows have no `view` or
            only one, or a relation names rows by their number.

    Paper: Bridging Mini-Batch and Asymptotic Analysis in Contrastive Learning: From InfoNCE to Kernel-Based Losses,
        ICML 2024, arXiv 2405.18045. A row without positives, or without negatives in its view, is dropped.
    """

    def __init__(
        self,
        pairs: str = "pairs",
        kernel: Literal["gaussian", "log", "imq", "riesz"] = "gaussian",
        gamma: float = 16.0,
        t: float = 2.0,
        s: float = 2.0,
        c: float = 2.0,
        halve_log_energy: bool = False,
    ):
        super().__init__()
        if kernel not in ("gaussian", "log", "imq", "riesz"):
            raise ValueError(f"The kernel is 'gaussian', 'log', 'imq' or 'riesz', not '{kernel}'.")
        if t <= 0 or c <= 0:
            raise ValueError(f"The kernels' t and c must be positive, not t = {t} and c = {c}.")
        if s == 0:
            raise ValueError("The riesz kernel with s = 0 is the same for all pairs; give s > 0, or s < 0.")
        self.needs = (pairs,)
        self.pairs, self.kernel, self.t, self.s, self.c = pairs, kernel, t, s, c
        self.gamma = gamma / 2 if halve_log_energy and kernel == "log" else gamma

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs = outputs.pairs[self.pairs]
        at_least_two_views(pairs)
        i, j = listed_pairs(pairs, pairs.positives)
        anchors = Segments(i, len(pairs.anchors))
        own = anchors.sizes()
        alignment = anchors.sum(self._of_cosines(similarities(pairs, Cosine(), i, j))) / own.clamp(min=1)
        energies, others, rows = [], [], []
        for view in views_in_order(pairs.anchors):
            part = among(pairs, [view], [view])
            met = pairwise.weight(part, part.negatives)
            energies.append(self._sum(part) / torch.where(met > 0, met, 1.0))
            others.append(met)
            rows.append((pairs.anchors["view"] == view).nonzero().squeeze(1))
        order = torch.cat(rows)
        losses = 2 * (self.gamma * torch.cat(energies) - alignment[order])
        return average(losses, (torch.cat(others) > 0) & (own[order] > 0))

    def _sum(self, pairs: Pairs) -> Tensor:
        """The sum of the kernel over the negatives, (n,)."""
        if self.kernel == "gaussian":
            # exp(-t D^2) = exp(2 t s - 2 t) on unit rows; the log-sum-exp of cosines has the fast road.
            return torch.exp(pairwise.logsumexp(pairs, pairs.negatives, Cosine(), 1 / (2 * self.t)) - 2 * self.t)
        return pairwise.sum_of(self._of_cosines, pairs, pairs.negatives)

    def _of_cosines(self, cosines: Tensor) -> Tensor:
        square = 2 - 2 * cosines
        if self.kernel == "gaussian":
            return torch.exp(-self.t * square)
        if self.kernel == "log":
            return -torch.log1p(self.t * square)
        if self.kernel == "imq":
            return self.c / torch.sqrt(self.c**2 + square)
        power = square.clamp(min=CLOSEST) ** (-self.s / 2)
        return power if self.s > 0 else -power
