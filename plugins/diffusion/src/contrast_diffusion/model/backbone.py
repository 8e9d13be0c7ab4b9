"""What is trained or kept frozen around the feature encoder: texts, latents and a U-Net, small or from a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import torch
from torch import Tensor, nn

from contrast_diffusion.model.text import HashedWords

Prediction = Literal["epsilon", "v_prediction"]
HEADS = 2
PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


class Text(NamedTuple):
    """Words for a U-Net: (B, w, d), and what SDXL wants besides (its pooled text), or None."""

    words: Tensor
    pooled: Tensor | None = None

    def select(self, keep: Tensor, other: Text) -> Text:
        """These words where `keep` (B,) is true, the other ones, B or 1, elsewhere."""
        words = torch.where(keep[:, None, None], self.words, other.words)
        if self.pooled is None or other.pooled is None:
            return Text(words)
        return Text(words, torch.where(keep[:, None], self.pooled, other.pooled))


class Backbone(nn.Module, ABC):
    """A latent diffusion model of diffusers, in parts.

    `unet` is its U-Net, `scheduler` the noise that it was trained with, `text_size` the width of its words.
    """

    unet: Any
    scheduler: Any
    text_size: int

    @abstractmethod
    def text(self, captions: Sequence[str]) -> Text:
        """Words of captions; of empty ones, those of a text that was left out."""

    @abstractmethod
    def latents(self, image: Tensor) -> Tensor:
        """Latents of images (B, C, H, W) in [0, 1]."""

    @abstractmethod
    def images(self, latents: Tensor) -> Tensor:
        """Images in [0, 1] of latents."""

    def denoise(self, noisy: Tensor, timestep: Tensor, text: Text, attention: dict[str, Any]) -> Tensor:
        """The U-Net's prediction for noisy latents (B, c, h, w) at int64 timesteps (B,)."""
        added = {}
        if text.pooled is not None:
            height, width = (int(side) * 8 for side in noisy.shape[2:])
            times = [height, width, 0, 0, height, width]
            added["added_cond_kwargs"] = {
                "text_embeds": text.pooled,
                "time_ids": torch.tensor([times] * len(noisy), device=noisy.device, dtype=text.pooled.dtype),
            }
        found: Tensor = self.unet(noisy, timestep, text.words, cross_attention_kwargs=attention, **added).sample
        return found


@final
class SmallBackbone(Backbone):
    """A U-Net on pixels with words of its own, all of it trained: the card's small model.

    Args:
        channels, size: of the images. width: of the words. blocks: channels of the U-Net's levels, multiples of 8.
        prediction: what the U-Net predicts.
    """

    def __init__(self, channels: int, size: int, width: int, blocks: Sequence[int], prediction: Prediction):
        diffusers: Any = import_module("diffusers")

        super().__init__()
        self.unet = diffusers.UNet2DConditionModel(
            sample_size=size, in_channels=channels, out_channels=channels, block_out_channels=tuple(blocks),
            layers_per_block=1, down_block_types=("CrossAttnDownBlock2D",) * len(blocks),
            up_block_types=("CrossAttnUpBlock2D",) * len(blocks), cross_attention_dim=width, norm_num_groups=8,
            # Under this name diffusers wants the number of heads: they are of 8 and more channels here.
            attention_head_dim=HEADS,
        )  # fmt: skip
        self.scheduler = diffusers.DDIMScheduler(
            beta_schedule="squaredcos_cap_v2", prediction_type=prediction, clip_sample=True, set_alpha_to_one=True
        )
        self.words, self.text_size = HashedWords(width), width

    def text(self, captions: Sequence[str]) -> Text:
        """A vector a word."""
        return Text(self.words(captions))

    def latents(self, image: Tensor) -> Tensor:
        """Pixels in [-1, 1]."""
        return image * 2 - 1

    def images(self, latents: Tensor) -> Tensor:
        """Pixels in [0, 1]."""
        return (latents / 2 + 0.5).clamp(0, 1)


@final
class FolderBackbone(Backbone):
    """Stable Diffusion 1.5 or XL from a folder as diffusers saves it, frozen.

    Args:
        path: the folder. prediction: in place of what its scheduler says, if given.

    Raises:
        ValueError: if there is no such folder, or a part of it is missing; the sentence names the part.
    """

    def __init__(self, path: Path, prediction: Prediction | None = None):
        diffusers: Any = import_module("diffusers")

        super().__init__()
        check_folder(path)
        checker = (
            {} if (path / "text_encoder_2").is_dir() else {"safety_checker": None, "requires_safety_checker": False}
        )
        pipe: Any = diffusers.DiffusionPipeline.from_pretrained(path, local_files_only=True, **checker)
        self.unet, self.vae = pipe.unet, pipe.vae
        self.encoders = nn.ModuleList(
            each for each in (pipe.text_encoder, getattr(pipe, "text_encoder_2", None)) if each is not None
        )
        self.requires_grad_(False).eval()
        changed = {} if prediction is None else {"prediction_type": prediction}
        self.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, **changed)
        # The pipeline knows how its texts are encoded, one encoder or two.
        self._pipe = [pipe]
        self.text_size = int(self.unet.config.cross_attention_dim)

    def train(self, mode: bool = True) -> FolderBackbone:
        """Stay in evaluation mode but for the U-Net, which knows gradient checkpointing in training mode only."""
        super().train(False)
        self.unet.train(mode)
        return self

    @torch.no_grad()
    def text(self, captions: Sequence[str]) -> Text:
        """The pipeline's own encoding."""
        found = self._pipe[0].encode_prompt(
            prompt=list(captions), device=next(self.parameters()).device, num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )  # fmt: skip
        return Text(found[0], found[2]) if len(self.encoders) > 1 else Text(found[0])

    @torch.no_grad()
    def latents(self, image: Tensor) -> Tensor:
        """The mean of the VAE's latents, scaled."""
        side = 2 ** (len(self.vae.config.block_out_channels) - 1)
        side *= 2 ** (len(self.unet.config.block_out_channels) - 1)
        if image.shape[2] % side or image.shape[3] % side:
            raise ValueError(
                f"The images have {image.shape[2]} x {image.shape[3]} pixels; this model takes multiples of {side}. "
                "Set data.size."
            )
        found: Tensor = self.vae.encode(image * 2 - 1).latent_dist.mean * self.vae.config.scaling_factor
        return found

    @torch.no_grad()
    def images(self, latents: Tensor) -> Tensor:
        """Decoded by the VAE."""
        found: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return (found / 2 + 0.5).clamp(0, 1)


def check_folder(path: Path) -> None:
    """Raise ValueError with a sentence unless a folder holds all parts of a pipeline of diffusers."""
    if not (path / "model_index.json").is_file():
        raise ValueError(
            f"{path} holds no model_index.json: it must be a folder as diffusers' save_pretrained writes it."
        )
    missing = [part for part in PARTS if not (path / part).is_dir()]
    if missing:
        raise ValueError(f"{path} lacks the part '{missing[0]}': a pipeline has {', '.join(PARTS)}.")
