"""Words for the small model: a table of vectors, without a vocabulary to be fitted."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

ROWS = 4096


@final
class HashedWords(nn.Module):
    """A vector for each word, found by the word's CRC-32, and one for each place: texts to (B, length, width).

    Words beyond `length` are cut off; places without a word hold row 0. Two words share a row once in 4,095 pairs.
    """

    def __init__(self, width: int, length: int = 8):
        super().__init__()
        self.length = length
        self.words = nn.Embedding(ROWS, width)
        self.places = nn.Parameter(torch.randn(length, width) * 0.1)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Vectors of the words."""
        rows = torch.zeros(len(texts), self.length, dtype=torch.int64)
        for number, text in enumerate(texts):
            for place, word in enumerate(text.lower().split()[: self.length]):
                rows[number, place] = 1 + zlib.crc32(word.encode()) % (ROWS - 1)
        found: Tensor = self.words(rows.to(self.places.device)) + self.places
        return found
