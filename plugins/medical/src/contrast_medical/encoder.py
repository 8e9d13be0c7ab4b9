"""Two networks for every image: one for what both groups share, one for what only the target group shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.convnet import check_images, convolutions, head
from contrast_core.encoders.view_table import check_views, given_by, view_table
from contrast_core.interfaces import Encoder, Flow


@final
class TwoSpaces(Encoder):
    """A common network and a salient one without shared weights: c = g_c(f_c(x)), s = g_s(f_s(x)).

    f is a small convolutional network, g a head (Linear, ReLU, Linear), both as in `core/convnet`. What is trained are
    c and s; what is evaluated and exported are f_c(x) and f_s(x), as in the paper.

    Gives a table for each view, under the view's name: fields `common` (B, common), `salient` (B, salient) and `z`,
    both side by side; columns `sample`, `view`, `role` (0 background, 1 target) and, where the batch has it, `label`.
    The embedding z is (B, 2 embedding_size), f_c(x) first.

    Args:
        views: the inputs, (B, C, H, W); the first is the one that is embedded in evaluation.
        widths: channels of the layers of both networks; each but the first halves height and width.
        stride: of the first layer.
        embedding_size: dimension of f_c(x) and of f_s(x).
        common: dimension of c.
        salient: dimension of s.

    Raises:
        ValueError: for sizes below 1, no view or one twice; in use, for inputs that are no images or have another
            number of channels than the first batch.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928, which has two ResNet-18 here.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        widths: Sequence[int] = (32, 64, 128),
        stride: int = 2,
        embedding_size: int = 128,
        common: int = 32,
        salient: int = 32,
    ):
        super().__init__()
        check_views(views)
        sizes = [*widths, stride, embedding_size, common, salient]
        if not widths or min(sizes) < 1:
            raise ValueError(f"widths, stride, embedding_size, common and salient must be at least 1, not {sizes}.")
        self.views, self.embedding, self.widths, self.stride = tuple(views), views[0], tuple(widths), stride
        self.embedding_size, self.dimensions = embedding_size, {"common": common, "salient": salient}
        self.needs = (*self.views, "sample", "role")
        columns = [f"{view}.{name}" for view in views for name in ("common", "salient", "role")]
        self.gives = (*given_by(views), *columns)
        self.backbones: nn.ModuleDict
        self.heads: nn.ModuleDict

    def prepare(self, flow: Flow) -> None:
        """Build the layers for the channels of the first view."""
        channels = check_images(flow, self.views[0]).shape[1]
        self.backbones = nn.ModuleDict(
            {name: convolutions(channels, self.widths, self.stride, self.embedding_size) for name in self.dimensions}
        )
        self.heads = nn.ModuleDict({name: head(self.embedding_size, size) for name, size in self.dimensions.items()})

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """Both projections of each view."""
        found = {}
        for view in self.views:
            encoded = self._encode(flow, view)
            found[view] = _table({name: self.heads[name](x) for name, x in encoded.items()}, flow, view)
        return found

    def embed(self, flow: Flow) -> Embeddings:
        """Both representations of the first view, before the heads."""
        return _table(self._encode(flow, self.views[0]), flow, self.views[0])

    def _encode(self, flow: Flow, view: str) -> Mapping[str, Tensor]:
        x = check_images(flow, view)
        wanted = next(self.backbones["common"].parameters()).shape[1]
        if x.shape[1] != wanted:
            raise ValueError(
                f"The view '{view}' has {x.shape[1]} channels; this encoder was built for {wanted}. Convert the "
                f"images, with medical/images by its option channels = {wanted}."
            )
        return {name: backbone(x) for name, backbone in self.backbones.items()}


def _table(fields: Mapping[str, Tensor], flow: Flow, view: str) -> Embeddings:
    table = view_table(torch.cat([fields["common"], fields["salient"]], 1), flow, view).with_fields(**fields)
    # An exported encoder is asked about images whose role nobody knows.
    return table.with_columns(role=torch.as_tensor(flow["role"])) if "role" in flow else table
