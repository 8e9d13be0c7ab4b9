"""The encoder: what CustomContrast makes of a batch, from pictures and texts to tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings, code
from contrast_core.interfaces import Encoder, Flow
from contrast_diffusion.model.backbone import Backbone, FolderBackbone, Prediction, SmallBackbone, Text
from contrast_diffusion.model.frozen import forget_frozen
from contrast_diffusion.model.generation import generate, noise_of
from contrast_diffusion.model.injection import inject, keywords
from contrast_diffusion.model.lora import add_lora
from contrast_diffusion.model.mfi import MFI, Features
from contrast_diffusion.model.vision import Frozen, SmallVision


@final
class SubjectDiffusion(Encoder):
    """A diffusion model that is told a subject by a picture: the MFI encoder, the injection and the U-Net's prediction.

        e = MFI(picture, words),  x_t = a_t x + s_t eps,  prediction = U(x_t, t, caption, e)

    Reads `image` x (B, C, H, W) in [0, 1], `cut` (see `CutSubject`), the lists of texts `caption`, `name` and `prompt`,
    and `sample`, `subject`, `appearance`. Gives the tables
        `reference`, `cut`   z = layers: a^l, mean over the tokens of e^l, one after the other (B, L d), and the field
                             `layers` (B, L, d); columns `sample`, `subject`, `appearance`
        `visual`, `textual`  z = CLS vectors before fusion (B, width); columns `sample`, `subject`, `text`
        `denoising`          the fields `prediction` and `target` (B, c, h, w), of x with the reference x itself
        `generated`          in evaluation mode, field `image` (B, G, C, H, W): pictures of the subject for `prompt`,
                             for each of G strengths of guidance
    In evaluation mode noise, timestep and pictures depend on the item's number alone.

    Args:
        pipeline: a folder of Stable Diffusion 1.5 or XL; left out, a small U-Net on pixels is trained from nothing.
        train: "whole" is the small model. Beside a folder's model, which stays frozen, "adapter" is the MFI encoder and
            the new projections, "lora" also low-rank changes of the U-Net's attention (peft).
        vision: a folder of a vision model of transformers, kept frozen; left out, three convolutions that are trained.
        text: which words MFI sees beside the picture: "caption" as in the card, or the subject's "name" alone. A
            caption names the background too, and what it says is then in the code.
        appearance: what MACL compares, of tokens after the fusion with the words ("fused", the card) or of the picture
            alone ("visual").
        width, queries, blocks, heads: of the Q-Formers.
        channels: of the small U-Net's levels.
        prediction: "epsilon" or "v_prediction"; left out, what a folder's scheduler says, and "v_prediction".
        dropout: how often text, picture and both are left out, each.
        guidance, steps: of `generated`; without a guidance nothing is generated.
        checkpointing: recompute the U-Net's blocks in the backward pass, for less memory.
        rank: of LoRA.

    Raises:
        ValueError: for numbers out of range; in use, if a folder lacks a part, a caption is empty, images and cuts
            differ in size, or an image or a latent is NaN.

    Paper: CustomContrast, arXiv 2409.05606; no code of its authors is public. Certain, from summaries, ours: see the
    documentation of the parts. The location guidance of the card is not there.
    """

    embedding = "reference"

    def __init__(
        self,
        pipeline: Path | None = None,
        train: Literal["whole", "adapter", "lora"] = "whole",
        vision: Path | None = None,
        text: Literal["caption", "name"] = "caption",
        appearance: Literal["fused", "visual"] = "fused",
        width: int = 48,
        queries: int = 4,
        blocks: int = 1,
        heads: int = 4,
        channels: Sequence[int] = (16, 32),
        prediction: Prediction | None = None,
        dropout: float = 0.05,
        guidance: Sequence[float] = (),
        steps: int = 10,
        checkpointing: bool = False,
        rank: int = 4,
    ):
        super().__init__()
        if min(width, queries, blocks, heads, steps, rank) < 1 or width % heads:
            raise ValueError(
                f"width, queries, blocks, heads, steps and rank must be at least 1 and heads divide width, not "
                f"{[width, queries, blocks, heads, steps, rank]}."
            )
        if (pipeline is None) != (train == "whole"):
            raise ValueError(
                'train = "adapter" and "lora" need a folder of Stable Diffusion, --set encoder.pipeline=FOLDER, and '
                f'"whole" is for the small model without one; here train is "{train}".'
            )
        if not 0 <= dropout <= 0.3:
            raise ValueError(f"dropout = {dropout} must be from 0 to 0.3: text, picture and both are left out, each.")
        self.where, self.how, self.vision_path = pipeline, train, vision
        self.text, self.appearance, self.mfi_sizes = text, appearance, (width, queries, blocks, heads)
        self.channels, self.prediction, self.dropout = tuple(channels), prediction, dropout
        self.guidance, self.steps, self.checkpointing, self.rank = tuple(guidance), steps, checkpointing, rank
        texts = ("caption", text, *(("prompt",) if guidance else ()))
        self.needs = tuple(dict.fromkeys(("image", "cut", *texts, "sample", "subject", "appearance")))
        codes = [f"{t}{c}" for t in ("reference", "cut") for c in ("", ".z", ".layers", ".appearance")]
        classes = [f"{t}{c}" for t in ("visual", "textual") for c in ("", ".z", ".text")]
        facts = [f"{t}.{c}" for t in ("reference", "cut", "visual", "textual") for c in ("sample", "subject")]
        made = ("generated", "generated.image") if guidance else ()
        self.gives = (*codes, *classes, *facts, "denoising", "denoising.prediction", "denoising.target", *made)
        self.backbone: Backbone
        self.vision: nn.Module
        self.mfi: MFI

    def prepare(self, flow: Flow) -> None:
        """Build or load all networks, for images like those of the first batch."""
        image = flow["image"]
        width, queries, blocks, heads = self.mfi_sizes
        if self.where is None:
            prediction = self.prediction or "v_prediction"
            self.backbone = SmallBackbone(image.shape[1], image.shape[2], width, self.channels, prediction)
        else:
            self.backbone = FolderBackbone(self.where, self.prediction)
            if self.how == "lora":
                add_lora(self.backbone.unet, self.rank)
        layers = inject(self.backbone.unet)
        if self.checkpointing:
            self.backbone.unet.enable_gradient_checkpointing()
        if self.vision_path is None:
            self.vision = SmallVision(image.shape[1], width)
        else:
            self.vision = Frozen(self.vision_path)
        size: int = self.vision.size
        context = int(self.backbone.unet.config.cross_attention_dim)
        self.mfi = MFI(
            size, self.backbone.text_size, len(layers), context, width, queries, blocks, heads,
            self.appearance == "fused",
        )  # fmt: skip
        if self.where is not None:
            # What lies in the folder need not lie in every checkpoint too.
            forget_frozen(self)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """All tables."""
        _check(flow["image"], flow["cut"], {"caption": flow["caption"], self.text: flow[self.text]})
        spoken = self.backbone.text(flow[self.text])
        both = self._features(torch.cat([flow["image"], flow["cut"]]), spoken.words)
        reference, cut = (Features(*part) for part in zip(*(x.chunk(2) for x in both), strict=True))
        facts = {name: flow[name] for name in ("sample", "subject")}
        codes = {**facts, "appearance": flow["appearance"]}
        said = {**facts, "text": torch.tensor([code(text) for text in flow[self.text]])}
        tables = {
            "reference": _coded(reference).with_columns(**codes),
            "cut": _coded(cut).with_columns(**codes),
            "visual": Embeddings.of(reference.visual, **said),
            "textual": Embeddings.of(reference.textual, **said),
            "denoising": self._denoised(
                flow, reference.layers, spoken if self.text == "caption" else self.backbone.text(flow["caption"])
            ),
        }
        if self.guidance and not self.training:
            tables["generated"] = self._generated(flow)
        return tables

    def embed(self, flow: Flow) -> Embeddings:
        """The codes of the images, (B, L d)."""
        words = self.backbone.text(flow[self.text]).words
        return _coded(self._features(flow["image"], words)).with_columns(sample=flow["sample"])

    def features(self, image: Tensor, texts: Sequence[str]) -> Features:
        """What MFI knows of pictures (B, C, H, W) in [0, 1] with their texts."""
        return self._features(image, self.backbone.text(texts).words)

    def _features(self, image: Tensor, words: Tensor) -> Features:
        seen = self.vision.tokens(image) if isinstance(self.vision, Frozen) else self.vision(image)
        found: Features = self.mfi(seen, words)
        return found

    def _denoised(self, flow: Flow, layers: Tensor, text: Text) -> Embeddings:
        backbone, scheduler = self.backbone, self.backbone.scheduler
        x = backbone.latents(flow["image"])
        if not bool(x.isfinite().all()):
            row = int((~x.flatten(1).isfinite().all(1)).nonzero()[0])
            raise ValueError(
                f"The latents of row {row} of the batch are NaN or infinite: is the VAE in half precision?"
            )
        steps, n = scheduler.config.num_train_timesteps, len(x)
        if self.training:
            noise, t = torch.randn(x.shape).to(x), torch.randint(steps, (n,)).to(x.device)
            out = torch.rand(n).to(x.device)
            d = self.dropout
            text = text.select(out >= 2 * d, backbone.text([""]))
            layers = layers * ((out < d) | (out >= 3 * d)).to(layers)[:, None, None, None]
        else:
            noise = noise_of(flow["sample"], x.shape[1:]).to(x)
            t = (flow["sample"] * 7919 % steps).to(x.device)
        noisy = scheduler.add_noise(x, noise, t)
        prediction = backbone.denoise(noisy, t, text, keywords(layers))
        target = scheduler.get_velocity(x, noise, t) if _is_v(scheduler) else noise
        return Embeddings({"prediction": prediction, "target": target})

    @torch.no_grad()
    def _generated(self, flow: Flow) -> Embeddings:
        beside = "prompt" if self.text == "caption" else "name"
        layers = self.features(flow["image"], flow[beside]).layers
        text = self.backbone.text(flow["prompt"])
        shape = self.backbone.latents(flow["image"][:1]).shape[1:]
        noise = noise_of(flow["sample"], shape, salt=1).to(flow["image"])
        drawn = [generate(self.backbone, layers, text, noise, g, self.steps) for g in self.guidance]
        return Embeddings({"image": torch.stack(drawn, 1)})


def _is_v(scheduler: Any) -> bool:
    return bool(scheduler.config.prediction_type == "v_prediction")


def _coded(features: Features) -> Embeddings:
    return Embeddings({"z": features.appearance.flatten(1), "layers": features.appearance})


def _check(image: Tensor, cut: Tensor, texts: Mapping[str, Sequence[str]]) -> None:
    if image.shape != cut.shape:
        raise ValueError(f"The images are {tuple(image.shape)}, their cuts {tuple(cut.shape)}; they must agree.")
    if not bool(image.isfinite().all()):
        row = int((~image.flatten(1).isfinite().all(1)).nonzero()[0])
        raise ValueError(f"The image of row {row} of the batch is NaN or infinite.")
    for name, values in texts.items():
        for row, text in enumerate(values):
            if not text.strip():
                raise ValueError(f"Row {row} of the batch has an empty {name}; write what the picture shows.")
