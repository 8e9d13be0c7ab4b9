"""The convolutional network of few-shot learning, with the projection head of BECLR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.convnet import check_images
from contrast_core.encoders.heads import projection_head
from contrast_core.encoders.view_table import check_views, given_by, view_table
from contrast_core.interfaces import Encoder, Flow


@final
class Conv4(Encoder):
    """h = f(x), z = g(h) of image views, one f and g for all views.

    f is blocks of 3 x 3 convolution, batch normalisation, ReLU and, while at least 4 pixels are left, pooling by 2; h
    is the last map, flattened. g is three linear layers with batch normalisation after each and ReLU after the first
    two; in training each view is normalised by its own statistics. h of the first view is evaluated and exported.

    Gives a table for each view, under its name: field z (B, projection), columns `sample`, `view` and, where the batch
    has it, `label`.

    Args:
        views: the inputs (B, C, H, W), floating; the first is the one that is embedded in evaluation.
        width: channels of each block.
        blocks: how many there are.
        projection: dimension of z.

    Raises:
        ValueError: for no view, one twice or sizes below 1; in use, for inputs that are no images or have other
            channels than the first ones.

    Batch statistics are those of one process; see the docs on several processes before training so.

    Papers: the blocks, Snell et al., Prototypical Networks, NeurIPS 2017, arXiv 1703.05175; the head, BECLR, ICLR 2024,
    arXiv 2402.02444, whose networks are ResNets (`core/image-model`).
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), width: int = 64, blocks: int = 4, projection: int = 128):
        super().__init__()
        check_views(views)
        if min(width, blocks, projection) < 1:
            raise ValueError(f"width = {width}, blocks = {blocks} and projection = {projection} must be at least 1.")
        self.views, self.embedding = tuple(views), views[0]
        self.width, self.blocks, self.projection = width, blocks, projection
        self.needs = (*self.views, "sample")
        self.gives = given_by(views)
        self.backbone: nn.Sequential
        self.head: nn.Module

    def prepare(self, flow: Flow) -> None:
        """Build the layers for the channels and the size of the first view's images."""
        images = check_images(flow, self.views[0])
        self.backbone = conv4(images.shape[1], self.width, self.blocks, min(images.shape[2:]))
        with torch.no_grad():
            wide = self.backbone.eval()(images[:1]).shape[1]
        self.backbone.train()
        # Twice as fast on a CPU as the usual order of numbers.
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = projection_head(wide, [self.projection] * 3, batch_norm="every")

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The projected views, a table each."""
        return {view: view_table(self.head(self._encode(flow, view)), flow, view) for view in self.views}

    def embed(self, flow: Flow) -> Embeddings:
        """h of the first view."""
        return view_table(self._encode(flow, self.views[0]), flow, self.views[0])

    def _encode(self, flow: Flow, view: str) -> Tensor:
        images = check_images(flow, view, next(self.backbone.parameters()).shape[1])
        found: Tensor = self.backbone(images.contiguous(memory_format=torch.channels_last))
        return found


def conv4(channels: int, width: int, blocks: int, side: int) -> nn.Sequential:
    """Blocks of 3 x 3 convolution, batch normalisation, ReLU and pooling, flattened: (B, C, H, W) to (B, h)."""
    layers: list[nn.Module] = []
    for block in range(blocks):
        layers += [
            nn.Conv2d(width if block else channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        if side >= 4:
            layers.append(nn.MaxPool2d(2))
            side //= 2
    return nn.Sequential(*layers, nn.Flatten())
