"""Image models of transformers as encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from contrast_core.adapters.hub import loaded
from contrast_core.adapters.named import accepted, imported
from contrast_core.embeddings import Embeddings
from contrast_core.encoders.convnet import check_images
from contrast_core.encoders.heads import Norm, projection_head
from contrast_core.encoders.view_table import check_views, given_by, view_table
from contrast_core.interfaces import Encoder, Flow

# Widths of the four stages, blocks of each, and what a block is: He et al., table 1.
RESNETS: Mapping[str, Mapping[str, Any]] = {
    "resnet18": {"hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"},
    "resnet50": {"hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3], "layer_type": "bottleneck"},
}


@final
class ImageModel(Encoder):
    """One image model f and one projection head g, shared by all views: h = W f(x) + b, or f(x) alone; z = g(h).

    f is any image model of transformers (ResNet, ConvNeXt, ViT, Swin, DINOv2 ...), pretrained, or a residual network
    that starts from random weights. f(x) is the model's pooled output; where it has none, or its weights were not
    saved, the first token, or the mean over the places. A ResNet-18 gives 512 numbers, a ResNet-50 2048. g is a linear
    layer for each size of `head`, with ReLU between them. What is trained is z; what is evaluated and exported is h.

    Takes images (B, C, H, W), standardised as the model was trained with: by `mean` and `deviation` of
    `core/image-views`, for most [0.485, 0.456, 0.406] and [0.229, 0.224, 0.225]. A pretrained model for colours is
    given grey images three times, as its three channels. Gives a table for each view, under the view's name: field z
    (B, d), columns `sample`, `view` and, where the batch has it, `label`.

    Args:
        architecture: "resnet18" or "resnet50", from random weights and for as many channels as the first batch has.
        model: instead of it, a model's name on the Hugging Face hub, as "microsoft/resnet-18"; it is downloaded once,
            unless HF_HUB_OFFLINE is 1.
        path: or a folder that holds a model.
        views: the inputs; the first is the one that is embedded in evaluation.
        stem: of an architecture: "large" divides height and width by four, 7 x 7 with stride 2 and max-pooling; "small"
            keeps them, 3 x 3 with stride 1, as is usual for images of some 32 pixels.
        embedding_size: dimension of h; left out, h = f(x).
        head: sizes of the layers of g; left out, z = h. SimCLR has [512, 128].
        batch_norm: after which layers of g: "none", the "hidden" ones or "every" one.

    Raises:
        ContrastError: if transformers is not installed.
        ValueError: unless exactly one of architecture, model and path is given, for sizes below 1, a small stem of a
            pretrained model, no view or one twice; in use, if the model can't be had, is none of images or lacks
            weights, or images have a number of channels or a size that it does not take.

    Batch statistics, which ResNets have, are those of one process and one view; see the docs on several processes.

    Papers: He et al., Deep Residual Learning, CVPR 2016, arXiv 1512.03385; the small stem, Chen et al., SimCLR, ICML
        2020, arXiv 2002.05709, appendix B.9.
    """

    def __init__(
        self,
        architecture: Literal["resnet18", "resnet50"] | None = None,
        model: str | None = None,
        path: Path | None = None,
        views: Sequence[str] = ("one", "two"),
        stem: Literal["large", "small"] = "large",
        embedding_size: int | None = None,
        head: Sequence[int] = (),
        batch_norm: Norm = "none",
    ):
        super().__init__()
        check_views(views)
        given = [each for each in (architecture, model, path) if each is not None]
        if len(given) != 1:
            raise ValueError(
                "give one of architecture, model, a name on the Hugging Face hub, and path, a folder: "
                "--set encoder.architecture=resnet18."
            )
        if stem == "small" and architecture is None:
            raise ValueError("stem = 'small' is for an architecture: a pretrained model has the stem that it has.")
        sizes = [*([] if embedding_size is None else [embedding_size]), *head]
        if min(sizes, default=1) < 1:
            raise ValueError(f"embedding_size and head must be at least 1, not {sizes}.")
        imported("core/transformers", "transformers", "transformers")
        self.architecture, self.name, self.stem = architecture, str(given[0]), stem
        self.views, self.embedding = tuple(views), views[0]
        self.embedding_size, self.head_sizes, self.batch_norm = embedding_size, tuple(head), batch_norm
        self.needs = (*self.views, "sample")
        self.gives = given_by(views)
        self.channels: int
        self.model: Any
        self.represent: nn.Module
        self.head: nn.Module

    def prepare(self, flow: Flow) -> None:
        """Build or load the model, and build the layers behind it for what it makes of the first image."""
        images = check_images(flow, self.views[0])
        if self.architecture is None:
            self.model = _pretrained(self.name)
        else:
            self.model = resnet(self.architecture, images.shape[1], self.stem)
        self.channels = self.model.config.num_channels
        # Convolutions are twice as fast on a CPU as with the usual order of numbers.
        self.model.to(memory_format=torch.channels_last)
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            wide = self._model_of({self.views[0]: images[:1]}, self.views[0]).shape[1]
        self.model.train(training)
        size = self.embedding_size
        self.represent = nn.Identity() if size is None else nn.Linear(wide, size)
        self.head = projection_head(size or wide, self.head_sizes, self.batch_norm)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The projected views, a table each."""
        return {view: view_table(self.head(self._encode(flow, view)), flow, view) for view in self.views}

    def embed(self, flow: Flow) -> Embeddings:
        """h of the first view: the layer before the projection head."""
        return view_table(self._encode(flow, self.views[0]), flow, self.views[0])

    def _encode(self, flow: Flow, view: str) -> Tensor:
        h: Tensor = self.represent(self._model_of(flow, view))
        return h

    def _model_of(self, flow: Flow, view: str) -> Tensor:
        x = check_images(flow, view)
        if self.architecture is None and x.shape[1] == 1 and self.channels == 3:
            x = x.expand(-1, 3, -1, -1)
        else:
            check_images(flow, view, self.channels)
        x = x.contiguous(memory_format=torch.channels_last)
        return pooled(accepted(f"{self.name}, given the view '{view}',", self.model, pixel_values=x))


def pooled(output: Any) -> Tensor:
    """One vector an image, (B, d): a model's pooled output, its first token, or the mean over its places."""
    found: Tensor | None = getattr(output, "pooler_output", None)
    if found is None:
        last: Tensor = output.last_hidden_state
        found = last.mean((2, 3)) if last.dim() == 4 else last[:, 0]
    return found.flatten(1)


def resnet(architecture: str, channels: int, stem: str) -> Any:
    """A residual network without its last layer, from random weights."""
    from transformers import ResNetConfig, ResNetModel

    made: Any = ResNetModel(ResNetConfig(num_channels=channels, **RESNETS[architecture]))
    if stem == "small":
        embedder = made.embedder
        width = embedder.embedder.convolution.out_channels
        first = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        embedder.embedder.convolution, embedder.pooler = first, nn.Identity()
    return made


def _pretrained(name: str) -> Any:
    from transformers import AutoModel

    # Never code of a model's author, and no weights that are pickled.
    load: Any = AutoModel.from_pretrained
    model, report = loaded(
        name, lambda: load(name, use_safetensors=True, output_loading_info=True), "model.safetensors and config.json"
    )
    if model.main_input_name != "pixel_values" or not hasattr(model.config, "num_channels"):
        raise ValueError(f"{name} is a {type(model).__name__}, no model of images alone; microsoft/resnet-18 is one.")
    lost = {each for each in report["missing_keys"] if each in dict(model.named_parameters())}
    pooler = {each for each in lost if each.startswith("pooler.")}
    if pooler:
        # Classifiers and DINO are saved without it; at random it would spoil what they know.
        model.pooler = None
    if lost - pooler:
        raise ValueError(f"{name} lacks weights of a {type(model).__name__}: {', '.join(sorted(lost - pooler)[:3])}.")
    return model.float()
