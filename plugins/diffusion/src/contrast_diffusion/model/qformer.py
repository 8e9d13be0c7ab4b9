"""Learned queries that look at features, and the attention in which pictures and texts meet."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional


@final
class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V over several heads, with a projection of each and of the sum."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width, bias=k != 1) for k in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, features: Tensor) -> Tensor:
        """Queries (B, n, width) to features (B, m, width)."""
        split = [
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, queries), (self.key, features), (self.value, features))
        ]
        found: Tensor = self.out(functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))
        return found


@final
class Block(nn.Module):
    """Self-attention over the queries, attention to the features, an MLP; each after a LayerNorm, each added."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.own, self.cross = Attention(width, heads), Attention(width, heads)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, queries: Tensor, features: Tensor) -> Tensor:
        """The queries, (B, n, width), changed."""
        x = self.norms[0](queries)
        queries = queries + self.own(x, x)
        queries = queries + self.cross(self.norms[1](queries), features)
        return queries + self.mlp(self.norms[2](queries))  # type: ignore[no-any-return]


@final
class QFormer(nn.Module):
    """Learned queries and one CLS query through blocks that look at features (B, m, size) mapped to `width`.

    Args:
        size: of the features. width: of the queries, a multiple of `heads`. queries: their number, without the CLS.
        blocks, heads: as said.
    """

    def __init__(self, size: int, width: int, queries: int, blocks: int, heads: int):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(size, width), nn.LayerNorm(width))
        self.queries = nn.Parameter(torch.randn(queries + 1, width) * 0.5)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, queries, width) and the CLS vector (B, width)."""
        features = self.features(features)
        x = self.queries.to(features.dtype).expand(len(features), -1, -1)
        for block in self.blocks:
            x = block(x, features)
        return x[:, 1:], x[:, 0]


@final
class Fusion(nn.Module):
    """V' = MLP(LayerNorm(V + Attention(V, T))), where V are the tokens of one modality and T those of the other."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention, self.norm = Attention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor, others: Tensor) -> Tensor:
        """The tokens, (B, n, width), with what the others add."""
        found: Tensor = self.mlp(self.norm(tokens + self.attention(tokens, others)))
        return found
