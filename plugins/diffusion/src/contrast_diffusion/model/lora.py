"""Low-rank changes of a U-Net's attention, by peft."""

from __future__ import annotations

from typing import Any


def add_lora(unet: Any, rank: int) -> None:
    """Add trainable low-rank changes W + B A to all projections of the U-Net's attention; B starts at 0.

    Raises:
        ValueError: if peft is not installed.

    Paper: Hu et al., LoRA, arXiv 2106.09685.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError("LoRA needs peft: pip install contrast-diffusion[lora].") from error
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
