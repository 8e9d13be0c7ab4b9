"""A multilayer perceptron with a projection head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.heads import projection_head
from contrast_core.encoders.view_table import check_views, given_by, view_table
from contrast_core.interfaces import Encoder, Flow


@final
class MLP(Encoder):
    """One backbone f and one projection head g, shared by all views: z = g(f(x)).

    f is Linear, (BatchNorm), ReLU for each hidden size and a last Linear to h = f(x), (B, embedding_size); g
    is Linear, ReLU, Linear. The input (B, ...) is flattened; its size is taken from the first batch. What is
    trained is z; what is evaluated and exported is h, the layer before the head, which keeps more of what a
    classifier needs (Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML
    2020, section 4.2).

    Gives a table for each view, under the view's name: field z (B, projection), columns `sample`, `view` and,
    where the batch has it, `label`.

    Args:
        views: the inputs, all of the same size per item; the first is the one that is embedded in evaluation.
        hidden: sizes of the hidden layers; none makes the backbone linear.
        embedding_size: dimension of h.
        projection: dimension of z; left out, there is no head and z = h.
        batch_norm: normalise the hidden layers over the batch, one view at a time.

    Raises:
        ValueError: for sizes below 1, no view or one twice; in use, if the size of the input changes.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        hidden: Sequence[int] = (256,),
        embedding_size: int = 128,
        projection: int | None = 64,
        batch_norm: bool = False,
    ):
        super().__init__()
        check_views(views)
        sizes = [*hidden, embedding_size, *([] if projection is None else [projection])]
        if min(sizes) < 1:
            raise ValueError(f"hidden, embedding_size and projection must be at least 1, not {sizes}.")
        self.views, self.embedding = tuple(views), views[0]
        self.hidden, self.embedding_size, self.projection = tuple(hidden), embedding_size, projection
        self.batch_norm = batch_norm
        self.needs = (*self.views, "sample")
        self.gives = given_by(views)
        self.backbone: nn.Sequential
        self.head: nn.Module

    def prepare(self, flow: Flow) -> None:
        """Build the layers for the size of the first view's items."""
        size = flow[self.views[0]].flatten(1).shape[1]
        layers: list[nn.Module] = []
        for before, after in pairwise([size, *self.hidden]):
            layers += [
                nn.Linear(before, after),
                *([nn.BatchNorm1d(after)] if self.batch_norm else []),
                nn.ReLU(),
            ]
        self.backbone = nn.Sequential(*layers, nn.Linear([size, *self.hidden][-1], self.embedding_size))
        wide = self.embedding_size
        self.head = projection_head(wide, [] if self.projection is None else [wide, self.projection])

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The projected views, a table each."""
        return {view: view_table(self.head(self._encode(flow, view)), flow, view) for view in self.views}

    def embed(self, flow: Flow) -> Embeddings:
        """h of the first view, (B, embedding_size): the layer before the projection head."""
        return view_table(self._encode(flow, self.views[0]), flow, self.views[0])

    def _encode(self, flow: Flow, view: str) -> Tensor:
        x: Tensor = flow[view].flatten(1)
        first = next(self.backbone.parameters())
        if x.shape[1] != first.shape[1]:
            have, wanted = x.shape[1], first.shape[1]
            raise ValueError(f"The view '{view}' has {have} numbers an item; this encoder was built for {wanted}.")
        encoded: Tensor = self.backbone(x)
        return encoded
