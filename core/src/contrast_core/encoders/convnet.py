"""A small convolutional network with a projection head, for small images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.heads import Norm, projection_head
from contrast_core.encoders.view_table import check_views, given_by, view_table
from contrast_core.interfaces import Encoder, Flow


def convolutions(channels: int, widths: Sequence[int], stride: int, size: int) -> nn.Sequential:
    """3 x 3 convolutions, GroupNorm and ReLU; the mean and the largest value over the places; a linear layer.

    The first convolution has the given stride, each other one halves height and width. From (B, channels, H, W) to
    (B, size). Groups are of 8 channels, or all channels where 8 does not divide them: statistics are of one image, so
    that it makes no difference what else is in a batch or on how many processes it lies.
    """
    layers: list[nn.Module] = []
    before = channels
    for number, width in enumerate(widths):
        norm = nn.GroupNorm(width // 8 if width % 8 == 0 else 1, width)
        step = 2 if number else stride
        layers += [nn.Conv2d(before, width, 3, step, 1, bias=False), norm, nn.ReLU()]
        before = width
    return nn.Sequential(*layers, Pooled(), nn.Linear(2 * before, size))


@final
class Pooled(nn.Module):
    """Mean and maximum over all places: (B, C, H, W) to (B, 2 C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Both, one after the other."""
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


def check_images(flow: Flow, view: str, channels: int | None = None) -> Tensor:
    """The images of a view.

    Raises:
        ValueError: if they are not floating (B, C, H, W), or have another number of channels than is asked for.
    """
    x: Tensor = flow[view]
    if x.dim() != 4 or not x.is_floating_point():
        raise ValueError(f"The view '{view}' must be floating images (B, C, H, W), not {x.dtype} {tuple(x.shape)}.")
    if channels is not None and x.shape[1] != channels:
        raise ValueError(
            f"The view '{view}' has {x.shape[1]} channels; this encoder was built for {channels}. Convert the images, "
            f"with core/images by its option channels = {channels}."
        )
    return x


@final
class ConvNet(Encoder):
    """One backbone f and one projection head g, shared by all views: z = g(f(x)), for images of some 8 to 64 pixels.

    f is, for each width, a 3 x 3 convolution, GroupNorm and ReLU, then mean and maximum over the places and a linear
    layer to h = f(x), (B, embedding_size); g is Linear, ReLU, Linear, with batch
    normalisation before the ReLU if asked for. Any height and width will do; the number of
    channels is taken from the first batch. What is trained is z; what is evaluated and exported is h.

    Gives a table for each view, under the view's name: field z (B, projection), columns `sample`, `view` and, where
    the batch has it, `label`.

    Args:
        views: the inputs, (B, C, H, W); the first is the one that is embedded in evaluation.
        widths: channels of the layers; each but the first halves height and width.
        stride: of the first layer; 2 is four times as fast, and enough from 28 pixels.
        embedding_size: dimension of h.
        projection: dimension of z; left out, there is no head and z = h.
        hidden: width of the head's first layer; left out, embedding_size.
        batch_norm: normalise over the batch after the head's first layer.

    Raises:
        ValueError: for sizes below 1, no view or one twice; in use, for inputs that are no images or have another
            number of channels than the first batch.

    Papers: the head, Chen et al., SimCLR, ICML 2020, arXiv 2002.05709; Wu and He, Group Normalization, arXiv
        1803.08494.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        widths: Sequence[int] = (32, 64, 128),
        stride: int = 1,
        embedding_size: int = 128,
        projection: int | None = 64,
        hidden: int | None = None,
        batch_norm: bool = False,
    ):
        super().__init__()
        check_views(views)
        sizes = [*widths, stride, embedding_size, *(size for size in (projection, hidden) if size is not None)]
        if not widths or min(sizes) < 1:
            raise ValueError(f"widths, stride, embedding_size, projection and hidden must be at least 1, not {sizes}.")
        self.views, self.embedding, self.widths, self.stride = tuple(views), views[0], tuple(widths), stride
        self.embedding_size, self.projection = embedding_size, projection
        self.hidden = embedding_size if hidden is None else hidden
        self.norm: Norm = "hidden" if batch_norm else "none"
        self.needs = (*self.views, "sample")
        self.gives = given_by(views)
        self.backbone: nn.Sequential
        self.head: nn.Module

    def prepare(self, flow: Flow) -> None:
        """Build the layers for the channels of the first view."""
        channels = check_images(flow, self.views[0]).shape[1]
        self.backbone = convolutions(channels, self.widths, self.stride, self.embedding_size)
        wide = self.embedding_size
        self.head = projection_head(wide, [] if self.projection is None else [self.hidden, self.projection], self.norm)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The projected views, a table each."""
        return {view: view_table(self.head(self._encode(flow, view)), flow, view) for view in self.views}

    def embed(self, flow: Flow) -> Embeddings:
        """h of the first view, (B, embedding_size): the layer before the projection head."""
        return view_table(self._encode(flow, self.views[0]), flow, self.views[0])

    def _encode(self, flow: Flow, view: str) -> Tensor:
        x = check_images(flow, view, next(self.backbone.parameters()).shape[1])
        encoded: Tensor = self.backbone(x)
        return encoded
