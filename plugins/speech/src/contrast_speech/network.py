"""The networks of a sequence-to-sequence speech model: an audio encoder and a text decoder."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from contrast_speech.data.tokens import EOS, PAD, SOS


def positions(count: int, width: int, like: Tensor) -> Tensor:
    """Sinusoids, (count, width): sines in the first half, cosines in the second."""
    half = torch.arange(width // 2, device=like.device, dtype=like.dtype)
    angles = torch.arange(count, device=like.device, dtype=like.dtype)[:, None] * 10000 ** (-2 * half / width)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def inside(lengths: Tensor, size: int) -> Tensor:
    """(B, size): whether a place is before the row's end."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


@final
class AudioEncoder(nn.Module):
    """Two convolutions of stride 2 over time, sinusoidal positions, pre-norm transformer layers.

    (B, t, bands) and frames (B,) to (B, u, width) and lengths (B,), u = ceil(ceil(t / 2) / 2). What lies after a
    recording's end is hidden from convolutions and attention, so no row depends on the batch's padding.
    """

    def __init__(self, bands: int, width: int, heads: int, layers: int, feed_forward: int, dropout: float):
        super().__init__()
        self.first = nn.Conv1d(bands, width, 3, stride=2, padding=1)
        self.second = nn.Conv1d(width, width, 3, stride=2, padding=1)
        layer = nn.TransformerEncoderLayer(
            width, heads, feed_forward, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """States and their lengths; states after the end are 0."""
        x = features.transpose(1, 2)
        for convolution in (self.first, self.second):
            x = x * inside(frames, x.shape[2])[:, None]
            x = nn.functional.gelu(convolution(x))
            frames = (frames + 1) // 2
        x = x.transpose(1, 2)
        x = self.dropout(x + positions(x.shape[1], x.shape[2], x))
        known = inside(frames, x.shape[1])
        x = self.layers(x, src_key_padding_mask=~known)
        return x * known[..., None], frames


@final
class TextDecoder(nn.Module):
    """Token embeddings times sqrt(width), sinusoidal positions, pre-norm layers with attention to the audio, logits."""

    def __init__(self, vocabulary: int, width: int, heads: int, layers: int, feed_forward: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        layer = nn.TransformerDecoderLayer(
            width, heads, feed_forward, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, layers, nn.LayerNorm(width))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor, audio: Tensor, lengths: Tensor) -> Tensor:
        """Logits of the token after each of the given ones: (B, l) to (B, l, vocabulary)."""
        size, width = tokens.shape[1], self.embedding.embedding_dim
        x = self.embedding(tokens) * math.sqrt(width)
        x = self.dropout(x + positions(size, width, x))
        later = torch.ones(size, size, dtype=torch.bool, device=tokens.device).triu(1)
        hidden = ~inside(lengths, audio.shape[1])
        x = self.layers(x, audio, tgt_mask=later, tgt_key_padding_mask=tokens == PAD, memory_key_padding_mask=hidden)
        logits: Tensor = self.out(x)
        return logits

    @torch.no_grad()
    def greedy(self, audio: Tensor, lengths: Tensor, most: int) -> Tensor:
        """The likeliest token again and again, until EOS or `most` tokens: (B, most) int64, padded with PAD."""
        tokens = torch.full((len(audio), 1), SOS, device=audio.device)
        for _ in range(most):
            following = self(tokens, audio, lengths)[:, -1]
            # A sequence that has ended stays PAD; one that has not never holds PAD, which attention would not see.
            following[:, PAD] = -math.inf
            best = following.argmax(1)
            ended = (tokens == EOS).any(1)
            tokens = torch.cat([tokens, torch.where(ended, PAD, best)[:, None]], dim=1)
            if bool((tokens == EOS).any(1).all()):
                break
        return nn.functional.pad(tokens[:, 1:], (0, most + 1 - tokens.shape[1]), value=PAD)
