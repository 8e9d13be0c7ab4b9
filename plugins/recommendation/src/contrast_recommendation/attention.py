"""A post-norm transformer block, and its last query alone.

Modules and parameters are named as in RecBole's SASRec, so that state dicts of either fit the other.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast_recommendation.dropout import Dropout

EPS = 1e-12
"""Of the layer normalisations."""
HIDDEN = -10000.0
"""Added to the scores of keys that a query does not see. A query that sees no key at all attends to every one."""


@final
class MultiHeadAttention(nn.Module):
    """y = LayerNorm(x + Dropout(W_o a + b_o)), a = Dropout(softmax(q k^T / sqrt(d / heads) + mask)) v.

    Args:
        size: d, a multiple of `heads`.
        heads: how many heads share the d dimensions.
        dropout: of the output; attention_dropout: of the attention's probabilities.
    """

    def __init__(self, size: int, heads: int, dropout: float, attention_dropout: float):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.dense = nn.Linear(size, size)
        self.LayerNorm = nn.LayerNorm(size, eps=EPS)
        self.dropout, self.attention_dropout = Dropout(dropout), Dropout(attention_dropout)

    def forward(self, queries: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Queries (n, q, d) look at states (n, w, d); mask, (n, 1, q, w), is added to the scores. Gives (n, q, d)."""
        query, key, value = self._by_head(self.query(queries)), self._by_head(self.key(states)), self.value(states)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        found = self.attention_dropout((scores + mask).softmax(3)) @ self._by_head(value)
        normalised: Tensor = self.LayerNorm(queries + self.dropout(self.dense(found.transpose(1, 2).flatten(2))))
        return normalised

    def _by_head(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


@final
class FeedForward(nn.Module):
    """LayerNorm(x + Dropout(W_2 gelu(W_1 x + b_1) + b_2)), gelu in its erf form; (..., d) to (..., d)."""

    def __init__(self, size: int, inner: int, dropout: float):
        super().__init__()
        self.dense_1, self.dense_2 = nn.Linear(size, inner), nn.Linear(inner, size)
        self.LayerNorm = nn.LayerNorm(size, eps=EPS)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The states, (..., d), position by position."""
        normalised: Tensor = self.LayerNorm(x + self.dropout(self.dense_2(functional.gelu(self.dense_1(x)))))
        return normalised


@final
class Block(nn.Module):
    """Attention, then the feed-forward layer; see both for the arguments."""

    def __init__(self, size: int, heads: int, inner: int, dropout: float, attention_dropout: float):
        super().__init__()
        self.multi_head_attention = MultiHeadAttention(size, heads, dropout, attention_dropout)
        self.feed_forward = FeedForward(size, inner, dropout)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """New states (n, w, d) of x (n, w, d); `visible` (n, q, w) says which keys each query sees."""
        return self._attend(x, x, visible)

    def last(self, x: Tensor, position: Tensor, visible: Tensor) -> Tensor:
        """The new states (n, d) at one position of each row alone, which is all that anybody reads of a last block.

        `position` (n,) int64 counts from 0; `visible` (n, 1, w) says which keys the query there sees.
        """
        query = x[torch.arange(len(x), device=x.device), position][:, None]
        return self._attend(query, x, visible)[:, 0]

    def _attend(self, queries: Tensor, x: Tensor, visible: Tensor) -> Tensor:
        mask = torch.zeros(visible.shape, dtype=x.dtype, device=x.device).masked_fill_(~visible, HIDDEN)
        attended: Tensor = self.feed_forward(self.multi_head_attention(queries, x, mask[:, None]))
        return attended
