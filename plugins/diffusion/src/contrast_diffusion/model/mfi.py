"""The multimodal feature injection encoder: a picture and its words to tokens for every layer of a U-Net."""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from contrast_diffusion.model.qformer import Fusion, QFormer


class Features(NamedTuple):
    """What the encoder knows of n pictures.

    Args:
        layers: (n, L, q, d), the tokens e^l of each of L cross-attention layers.
        appearance: (n, L, d), mean over the tokens, of what MACL compares.
        visual, textual: (n, width), the CLS vectors before fusion.
    """

    layers: Tensor
    appearance: Tensor
    visual: Tensor
    textual: Tensor


@final
class MFI(nn.Module):
    """V, v = QFormer(picture), T, t = QFormer(words), V' = fusion of V with T, e^l = Head_l(V').

    Args:
        vision, text: size of the pictures' and of the words' features.
        layers: L, how many cross-attention layers there are. context: d, the width that they read.
        width, queries, blocks, heads: of both Q-Formers.
        fused: whether `appearance` is of the tokens after the fusion, as the card writes, or Head_l(V), of the picture
            alone.

    Paper: CustomContrast, arXiv 2409.05606. Certain: both Q-Formers, the fusion, CLS vectors. From summaries: an
    embedding for every layer (S+). Ours: sizes, the form of the fusion, and that T is not fused further: nobody reads
    it.
    """

    def __init__(
        self, vision: int, text: int, layers: int, context: int, width: int, queries: int, blocks: int, heads: int,
        fused: bool,
    ):  # fmt: skip
        super().__init__()
        self.visual = QFormer(vision, width, queries, blocks, heads)
        # The words' own queries, as many as the picture's.
        self.textual = QFormer(text, width, queries, blocks, heads)
        self.fusion = Fusion(width, heads)
        self.layer_norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(nn.Linear(width, context) for _ in range(layers))
        self.fused = fused

    def forward(self, picture: Tensor, words: Tensor) -> Features:
        """From features of n pictures (n, p, vision) and of their words (n, w, text).

        Several pictures of the same words, (k n, p, vision) one set after the other, share them: these are read once.
        """
        v, v_cls = self.visual(picture)
        t, t_cls = (x.repeat(len(picture) // len(words), *(1,) * (x.dim() - 1)) for x in self.textual(words))
        # The picture's own tokens go along, so that a small MLP need not carry all of it.
        fused = v + self.fusion(v, t)
        layers = self._heads(fused)
        appearance = (layers if self.fused else self._heads(v)).mean(2)
        return Features(layers, appearance, v_cls, t_cls)

    def _heads(self, tokens: Tensor) -> Tensor:
        tokens = self.layer_norm(tokens)
        return torch.stack([head(tokens) for head in self.heads], 1)
