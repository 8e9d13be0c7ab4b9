"""Target sequences: intent, SEP, the transcript's letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

PAD, SOS, SEP, EOS = 0, 1, 2, 3
SPECIAL = 4
"""How many tokens stand before the intents."""


@final
class Vocabulary:
    """Special tokens, then one token an intent, then one a letter.

    Args:
        intents: their names, in the order of the labels; intents of tasks to come have their tokens from the start.
        letters: every letter that a transcript may have.
    """

    def __init__(self, intents: Sequence[str], letters: Sequence[str]):
        self.intents, self.letters = tuple(intents), tuple(letters)
        self._number = {letter: SPECIAL + len(self.intents) + place for place, letter in enumerate(self.letters)}

    def __len__(self) -> int:
        return SPECIAL + len(self.intents) + len(self.letters)

    def target(self, label: int, transcript: str | None, longest: int) -> Tensor:
        """SOS, intent, SEP, at most `longest` letters, EOS: (l,) int64. Without a transcript there are no letters.

        Letters that the vocabulary lacks are left out.
        """
        letters = [self._number[letter] for letter in (transcript or "")[:longest] if letter in self._number]
        return torch.tensor([SOS, SPECIAL + label, SEP, *letters, EOS])

    def words(self, tokens: Sequence[int]) -> str:
        """The letters of a sequence, up to the first EOS, after the first SEP if there is one."""
        kept = list(tokens)
        kept = kept[: kept.index(EOS)] if EOS in kept else kept
        kept = kept[kept.index(SEP) + 1 :] if SEP in kept else kept
        first = SPECIAL + len(self.intents)
        return "".join(self.letters[token - first] for token in kept if token >= first)


def word_errors(said: str, written: str) -> tuple[int, int]:
    """(insertions + deletions + substitutions that make `said` out of `written`, words of `written`)."""
    found, wanted = said.split(), written.split()
    row = list(range(len(found) + 1))
    for i, word in enumerate(wanted, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1], len(wanted)
