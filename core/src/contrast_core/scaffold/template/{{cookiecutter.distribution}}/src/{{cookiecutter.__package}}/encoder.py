"""An encoder for rows of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import final

import torch
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Encoder, Flow
from torch import Tensor, nn


@final
class Periodic(Encoder):
    """Waves of each feature, a perceptron f and a projection head g, shared by all views:

        p(x)_j = [sin(2 pi c_j x_j), cos(2 pi c_j x_j)],    h = f([x, p(x)]),    z = g(h).

    c_j in R^frequencies is learned and starts from N(0, sigma^2): with waves a perceptron follows fine structure of a
    feature, which it otherwise smoothes. f and g are Linear, ReLU, Linear. What is trained is z, (B, projection); what
    is evaluated and exported is h, (B, embedding_size). Features should be standardised.

    Gives a table for each view, under the view's name: field z (B, projection), columns `sample`, `view` and, where
    the batch has it, `label`.

    Args:
        views: the inputs, floating point, (B, k); the first is the one that is embedded in evaluation.
        frequencies: waves a feature.
        sigma: standard deviation of the first frequencies, in periods a unit of the feature.
        hidden: size of f's hidden layer.
        embedding_size: dimension of h.
        projection: dimension of z.

    Raises:
        ValueError: for sizes below 1, a sigma that is not positive, no view or one twice; in use, if the number of
            features changes.

    Paper: Gorishniy et al., On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS 2022, arXiv
        2203.05556. Giving the perceptron x beside p(x) is ours.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        frequencies: int = 8,
        sigma: float = 0.1,
        hidden: int = 128,
        embedding_size: int = 64,
        projection: int = 32,
    ):
        super().__init__()
        if not views or len(set(views)) < len(views):
            raise ValueError(f"views must hold at least one name and none twice, not {list(views)}.")
        sizes = [frequencies, hidden, embedding_size, projection]
        if min(sizes) < 1:
            raise ValueError(f"frequencies, hidden, embedding_size and projection must be at least 1, not {sizes}.")
        if sigma <= 0:
            raise ValueError(f"sigma = {sigma} must be positive: it is a standard deviation.")
        self.views, self.embedding = tuple(views), views[0]
        self.frequencies, self.sigma = frequencies, sigma
        self.hidden, self.embedding_size, self.projection = hidden, embedding_size, projection
        self.needs = (*self.views, "sample")
        self.gives = tuple(n for v in views for n in (v, f"{v}.z", f"{v}.sample", f"{v}.view", f"{v}.label"))
        self.backbone: nn.Sequential
        self.head: nn.Sequential

    def prepare(self, flow: Flow) -> None:
        """Build the layers for the number of features of the first batch: no recipe has to state it."""
        features = flow[self.views[0]].shape[1]
        self.waves = nn.Parameter(self.sigma * torch.randn(features, self.frequencies))
        wide = features * (1 + 2 * self.frequencies)
        self.backbone = nn.Sequential(
            nn.Linear(wide, self.hidden), nn.ReLU(), nn.Linear(self.hidden, self.embedding_size)
        )
        self.head = nn.Sequential(
            nn.Linear(self.embedding_size, self.embedding_size),
            nn.ReLU(),
            nn.Linear(self.embedding_size, self.projection),
        )

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The projected views, a table each."""
        return {view: self._table(self.head(self._encode(flow, view)), flow, view) for view in self.views}

    def embed(self, flow: Flow) -> Embeddings:
        """h of the first view: the layer before the projection head."""
        return self._table(self._encode(flow, self.views[0]), flow, self.views[0])

    def _encode(self, flow: Flow, view: str) -> Tensor:
        x: Tensor = flow[view]
        if x.shape[1:] != self.waves.shape[:1]:
            have, wanted = tuple(x.shape), len(self.waves)
            raise ValueError(f"The view '{view}' has shape {have}; this encoder was built for (B, {wanted}).")
        angles = 2 * math.pi * (x[:, :, None] * self.waves).flatten(1)
        encoded: Tensor = self.backbone(torch.cat([x, angles.sin(), angles.cos()], dim=1))
        return encoded

    def _table(self, z: Tensor, flow: Flow, view: str) -> Embeddings:
        known = {name: torch.as_tensor(flow[name]) for name in ("sample", "label") if name in flow}
        return Embeddings.of(z, **known).with_columns(view=view)
