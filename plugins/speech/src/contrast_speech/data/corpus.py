"""What every loader gives: recordings with an intent, a transcript and a part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from contrast_speech.data.audio import Sound, read_sound


@frozen(eq=False)
class Utterance:
    """One recording.

    Args:
        sound: the samples themselves, or the file that holds them.
        intent: the class.
        transcript: the words, or None where nobody wrote them down.
        part: "train", "valid" or "test".
        name: for people.
    """

    sound: Sound | Path
    intent: str
    transcript: str | None
    part: str
    name: str

    def samples(self) -> Sound:
        """The samples; a file is read.

        Raises:
            ValueError: if the file is missing or can't be read.
        """
        return read_sound(self.sound) if isinstance(self.sound, Path) else self.sound


@frozen(eq=False)
class Corpus:
    """Utterances in a fixed order, and what to say about them."""

    utterances: Sequence[Utterance]
    about: str

    @property
    def intents(self) -> list[str]:
        """All intents, sorted."""
        return sorted({each.intent for each in self.utterances})


def trainable(corpus: Corpus) -> Corpus:
    """The corpus without utterances of intents that no training utterance has; what it is says how many they were."""
    known = {each.intent for each in corpus.utterances if each.part == "train"}
    kept = [each for each in corpus.utterances if each.intent in known]
    if missing := len(corpus.utterances) - len(kept):
        return Corpus(kept, f"{corpus.about} {missing:,} recording(s) of an intent that none trains, left out.")
    return corpus


def int16(samples: NDArray[np.int16], rate: int) -> Sound:
    """Sixteen-bit samples as a sound in [-1, 1)."""
    return Sound(np.asarray(samples / 32768, dtype=np.float32), rate)
