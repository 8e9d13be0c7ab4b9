"""Spectrograms in plain torch: mel filters, log-mel energies, cepstra."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mel_filters(bands: int, size: int, rate: int) -> Tensor:
    """Triangles on the mel scale 2595 log10(1 + f / 700) from 0 to rate / 2: (size // 2 + 1, bands)."""
    mel = torch.linspace(0, 2595 * math.log10(1 + rate / 2 / 700), bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequency = torch.linspace(0, rate // 2, size // 2 + 1, dtype=torch.float64)
    slopes = edges - frequency[:, None]
    width = edges.diff()
    falling, rising = slopes[:, 2:] / width[1:], -slopes[:, :-2] / width[:-1]
    return torch.minimum(falling, rising).clamp(min=0)


def power(waveform: Tensor, window: int, hop: int) -> Tensor:
    """|FFT|^2 of Hann windows, the first at the beginning: (B, s) to (B, 1 + (s - window) // hop, window // 2 + 1)."""
    frames = waveform.unfold(1, window, hop) * torch.hann_window(window, dtype=waveform.dtype, device=waveform.device)
    found: Tensor = torch.fft.rfft(frames).abs().square()
    return found


def cosines(bands: int, kept: int) -> Tensor:
    """The orthonormal discrete cosine transform: (bands, kept)."""
    n = torch.arange(bands, dtype=torch.float64)
    table = torch.cos(math.pi / bands * (n[:, None] + 0.5) * torch.arange(kept)) * math.sqrt(2 / bands)
    table[:, :1] /= math.sqrt(2)
    return table
