"""Fixtures shared by the tests of contrast-diffusion: tiny models in the folder layout of the real ones."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch


def tokenizer_in(folder: Path) -> Any:
    """A CLIP tokenizer that knows single letters."""
    letters = [chr(k) for k in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    from transformers import CLIPTokenizer

    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def text_model(width: int, projected: bool) -> Any:
    """A tiny CLIP text encoder."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=54, hidden_size=width, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, projection_dim=16, bos_token_id=52, eos_token_id=53, pad_token_id=53,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def vae() -> Any:
    """A tiny autoencoder that halves the sides."""
    return import_module("diffusers").AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4, layers_per_block=1,
    )  # fmt: skip


def unet(width: int, **more: Any) -> Any:
    """A tiny U-Net of two levels."""
    return import_module("diffusers").UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=width, attention_head_dim=2, norm_num_groups=4, **more,
    )  # fmt: skip


@pytest.fixture(scope="session")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as that of Stable Diffusion 1.5, with random weights."""
    diffusers = import_module("diffusers")
    folder = tmp_path_factory.mktemp("sd15")
    torch.manual_seed(0)
    diffusers.StableDiffusionPipeline(
        vae=vae(), text_encoder=text_model(16, False), tokenizer=tokenizer_in(folder / "tokenizer"), unet=unet(16),
        scheduler=diffusers.PNDMScheduler(skip_prk_steps=True, steps_offset=1), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as that of Stable Diffusion XL, with random weights."""
    diffusers = import_module("diffusers")
    folder = tmp_path_factory.mktemp("sdxl")
    torch.manual_seed(0)
    tokenizer = tokenizer_in(folder / "tokenizer")
    diffusers.StableDiffusionXLPipeline(
        vae=vae(), text_encoder=text_model(16, False), text_encoder_2=text_model(16, True), tokenizer=tokenizer,
        tokenizer_2=tokenizer, scheduler=diffusers.DDIMScheduler(),
        unet=unet(
            32, addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=16 + 6 * 8,
        ),
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny CLIP and its tokenizer."""
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    text = {
        "vocab_size": 54, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16,
        "patch_size": 8,
    }  # fmt: skip
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    tokenizer_in(folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny vision transformer."""
    from transformers import ViTConfig, ViTModel

    folder = tmp_path_factory.mktemp("dino")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
    )
    ViTModel(config).save_pretrained(folder)
    return folder
