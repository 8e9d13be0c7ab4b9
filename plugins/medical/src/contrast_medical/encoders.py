"""Two networks without shared weights: what is common, what is salient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.convnet import check_images, convolutions, head
from contrast_core.encoders.view_table import check_views, view_table
from contrast_core.interfaces import Encoder, Flow

FIELDS = ("z", "common", "salient", "common-representation", "salient-representation")
COLUMNS = ("sample", "view", "label", "role")


@final
class TwoSpaces(Encoder):
    """Two convolutional networks f_C and f_S with a projection head each: common = g_C(f_C(x)), salient = g_S(f_S(x)).

    Networks and heads are those of `core/convnet`. A table for each view, under its name: fields common (B, d_C) and
    salient (B, d_S), which losses compare; common-representation and salient-representation, f_C(x) and f_S(x), which
    probes read; z, both codes one after the other. Columns sample, view, role and, if the batch has it, label.
    Evaluated and exported are both representations of the first view, one after the other.

    Args:
        views: the inputs, (B, C, H, W).
        widths: channels of the layers; each but the first halves height and width.
        stride: of the first layer.
        embedding_size: dimension of either representation.
        common: dimension of the common code.
        salient: dimension of the salient code.
        shared: one network for both, its representation cut in two halves: the baseline of one space.
        attributes: whether batches have `attributes` (B, k), to be columns too; for `medical/supervised-sepclr`.

    Raises:
        ValueError: for sizes below 1, no view or one twice, an odd embedding_size to be halved; in use, for inputs that
            are no images or have other channels than the first batch.

    Paper: SepCLR, ICLR 2024, arXiv 2402.11928; there ResNet-18 and heads with BatchNorm.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        widths: Sequence[int] = (32, 64, 128),
        stride: int = 1,
        embedding_size: int = 128,
        common: int = 32,
        salient: int = 32,
        shared: bool = False,
        attributes: bool = False,
    ):
        super().__init__()
        check_views(views)
        sizes = [*widths, stride, embedding_size, common, salient]
        if not widths or min(sizes) < 1:
            raise ValueError(f"widths, stride, embedding_size, common and salient must be at least 1, not {sizes}.")
        if shared and embedding_size % 2:
            raise ValueError(f"embedding_size = {embedding_size} must be even to be cut in two halves.")
        self.views, self.embedding = tuple(views), views[0]
        self.widths, self.stride, self.embedding_size = tuple(widths), stride, embedding_size
        self.common, self.salient, self.halved, self.attributes = common, salient, shared, attributes
        self.needs = (*self.views, "sample", "role", *(("attributes",) if attributes else ()))
        columns = (*COLUMNS, *(("attributes",) if attributes else ()))
        self.gives = tuple(name for v in views for name in (v, *(f"{v}.{part}" for part in (*FIELDS, *columns))))
        self.backbones: nn.ModuleDict
        self.heads: nn.ModuleDict

    def prepare(self, flow: Flow) -> None:
        """Build the layers for the channels of the first view."""
        channels = check_images(flow, self.views[0]).shape[1]
        spaces = ("both",) if self.halved else ("common", "salient")
        size = self.embedding_size // (2 if self.halved else 1)
        self.backbones = nn.ModuleDict(
            {space: convolutions(channels, self.widths, self.stride, self.embedding_size) for space in spaces}
        )
        self.heads = nn.ModuleDict({"common": head(size, self.common), "salient": head(size, self.salient)})

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """A table of each view."""
        columns = {name: flow[name] for name in ("role", *(("attributes",) if self.attributes else ()))}
        tables = {}
        for view in self.views:
            c, s = self._represented(flow, view)
            common, salient = self.heads["common"](c), self.heads["salient"](s)
            table = view_table(torch.cat([common, salient], 1), flow, view).with_columns(**columns)
            fields = {"common": common, "salient": salient, "common-representation": c, "salient-representation": s}
            tables[view] = table.with_fields(**fields)
        return tables

    def embed(self, flow: Flow) -> Embeddings:
        """Both representations of the first view, one after the other."""
        return view_table(torch.cat(self._represented(flow, self.views[0]), 1), flow, self.views[0])

    def _represented(self, flow: Flow, view: str) -> tuple[Tensor, Tensor]:
        x = check_images(flow, view)
        wanted = next(self.backbones.parameters()).shape[1]
        if x.shape[1] != wanted:
            raise ValueError(
                f"The view '{view}' has {x.shape[1]} channels; this encoder was built for {wanted}. Convert the "
                f"images, with medical/images by its option channels = {wanted}."
            )
        if self.halved:
            one, two = self.backbones["both"](x).chunk(2, 1)
            return one, two
        return self.backbones["common"](x), self.backbones["salient"](x)
