"""Pictures from noise, the same for an item whenever and beside whatever it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor

from contrast_diffusion.model.backbone import Backbone, Text
from contrast_diffusion.model.injection import keywords


def noise_of(sample: Tensor, shape: Sequence[int], salt: int = 0) -> Tensor:
    """Standard normal noise (n, *shape), on the CPU, drawn for each item from its number alone."""
    drawn = [
        torch.randn(tuple(shape), generator=torch.Generator().manual_seed(1_000_003 * salt + number))
        for number in sample.tolist()
    ]
    return torch.stack(drawn) if drawn else torch.empty(0, *shape)


@torch.no_grad()
def generate(backbone: Backbone, layers: Tensor, text: Text, noise: Tensor, guidance: float, steps: int) -> Tensor:
    """Pictures (B, C, H, W) in [0, 1] by DDIM (eta = 0) with classifier-free guidance.

        e = e(nothing) + guidance (e(text, subject) - e(nothing)), nothing: the empty text and tokens that are all 0

    Args:
        layers: tokens of the subjects, (B, L, q, d). text: words of the prompts. noise: latents to begin with.
        guidance: 1 is none. steps: of the sampler.
    """
    scheduler = deepcopy(backbone.scheduler)
    scheduler.set_timesteps(steps, device=noise.device)
    nothing = text.select(torch.zeros(len(noise), dtype=torch.bool, device=noise.device), backbone.text([""]))
    pooled = None if text.pooled is None or nothing.pooled is None else torch.cat([nothing.pooled, text.pooled])
    both = Text(torch.cat([nothing.words, text.words]), pooled)
    attention = keywords(torch.cat([torch.zeros_like(layers), layers]))
    latents = noise * scheduler.init_noise_sigma
    for step in scheduler.timesteps:
        at = step.expand(2 * len(noise)).to(noise.device)
        without, given = backbone.denoise(torch.cat([latents, latents]), at, both, attention).float().chunk(2)
        latents = scheduler.step(without + guidance * (given - without), step, latents).prev_sample
    return backbone.images(latents)
