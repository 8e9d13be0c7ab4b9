"""Convolutional encoders of few-shot learning, with the projection head of BECLR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.convnet import check_images
from contrast_core.encoders.view_table import check_views, given_by, view_table
from contrast_core.interfaces import Encoder, Flow

DEPTHS: Mapping[str, tuple[int, ...]] = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}


@final
class ConvNet(Encoder):
    """h = f(x), z = g(h) of image views, one f and g for all views.

    The backbone f is "conv4", blocks of convolution, batch normalisation, ReLU and pooling by 2 while at least 4 pixels
    are left, whose last map is h; or "resnet18" or "resnet50", the residual networks of He et al. (arXiv 1512.03385)
    without their last layer, where h has 512 or 2048 numbers. g is three linear layers with batch
    normalisation after each and ReLU after the first two; in training each view is normalised by its own statistics.
    h of the first view is evaluated and exported.

    Gives a table for each view, under its name: field z (B, projection), columns `sample`, `view` and, where the batch
    has it, `label`.

    Args:
        views: the inputs (B, C, H, W), floating; the first is the one that is embedded in evaluation.
        backbone: see above.
        width: channels of conv4.
        blocks: at most so many of conv4.
        projection: dimension of z.

    Raises:
        ValueError: for no view or sizes below 1; in use, if images have other channels than the first ones, or none
            of the views is an image.

    Batch statistics are those of one process; see the docs on several processes before training so.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        backbone: Literal["conv4", "resnet18", "resnet50"] = "conv4",
        width: int = 64,
        blocks: int = 4,
        projection: int = 128,
    ):
        super().__init__()
        check_views(views)
        if min(width, blocks, projection) < 1:
            raise ValueError(f"width = {width}, blocks = {blocks} and projection = {projection} must be at least 1.")
        self.views, self.embedding = tuple(views), views[0]
        self.kind, self.width, self.blocks, self.projection = backbone, width, blocks, projection
        self.needs = (*self.views, "sample")
        self.gives = given_by(views)
        self.backbone: nn.Sequential
        self.head: nn.Sequential

    def prepare(self, flow: Flow) -> None:
        """Build the layers for the channels of the first view's images."""
        images = check_images(flow, self.views[0])
        channels = images.shape[1]
        if self.kind == "conv4":
            self.backbone = conv4(channels, self.width, self.blocks, min(images.shape[2:]))
            with torch.no_grad():
                wide = self.backbone.eval()(images[:1]).shape[1]
            self.backbone.train()
        else:
            self.backbone, wide = resnet(channels, DEPTHS[self.kind], bottleneck=self.kind == "resnet50")
        # Twice as fast on a CPU as the usual order of numbers.
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        d = self.projection
        self.head = nn.Sequential(
            *(nn.Linear(wide, d), nn.BatchNorm1d(d), nn.ReLU()),
            *(nn.Linear(d, d), nn.BatchNorm1d(d), nn.ReLU()),
            *(nn.Linear(d, d), nn.BatchNorm1d(d)),
        )

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The projected views, a table each."""
        return {view: view_table(self.head(self._encode(flow, view)), flow, view) for view in self.views}

    def embed(self, flow: Flow) -> Embeddings:
        """h of the first view."""
        return view_table(self._encode(flow, self.views[0]), flow, self.views[0])

    def _encode(self, flow: Flow, view: str) -> Tensor:
        images = check_images(flow, view)
        wanted = next(self.backbone.parameters()).shape[1]
        if images.shape[1] != wanted:
            raise ValueError(f"The view '{view}' has {images.shape[1]} channels; this encoder was built for {wanted}.")
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


def resnet(channels: int, depths: Sequence[int], bottleneck: bool) -> tuple[nn.Sequential, int]:
    """A residual network without its last layer, and how many numbers it gives."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False),
        *(nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)),
    ]
    wide = 64
    for stage, depth in enumerate(depths):
        inner = 64 * 2**stage
        for block in range(depth):
            outer = inner * (4 if bottleneck else 1)
            layers.append(_Residual(wide, inner, outer, 2 if stage and not block else 1, bottleneck))
            wide = outer
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network, wide


@final
class _Residual(nn.Module):
    """x + F(x), with a linear map of x where the shape changes."""

    def __init__(self, wide: int, inner: int, outer: int, stride: int, bottleneck: bool):
        super().__init__()
        # Sizes of the kernels, and the place of the stride: the 3 x 3 of a bottleneck, the first of two.
        plan = [(wide, inner, 1, 1), (inner, inner, 3, stride), (inner, outer, 1, 1)]
        if not bottleneck:
            plan = [(wide, inner, 3, stride), (inner, outer, 3, 1)]
        layers: list[nn.Module] = []
        for number, (before, after, kernel, step) in enumerate(plan):
            conv = nn.Conv2d(before, after, kernel, stride=step, padding=kernel // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(after), *([nn.ReLU()] if number < len(plan) - 1 else [])]
        self.inner = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or wide != outer:
            self.shortcut = nn.Sequential(nn.Conv2d(wide, outer, 1, stride=stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.relu(self.inner(x) + self.shortcut(x))
        return found
