"""All recordings of a corpus at one rate: looked at once, kept or read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrast_speech.data.audio import Samples, Sound, resampled
from contrast_speech.data.corpus import Corpus, Utterance

SHORTEST = 0.025
"""Seconds of one window of the spectrogram; what is shorter counts as empty."""


@final
class Sounds:
    """Waveforms by number.

    Recordings of another rate are resampled, and longer ones cut. Those of less than one window and those whose samples
    are all equal (silence) are left out: `utterances` holds the others, `notes` says how many.

    Args:
        corpus: the utterances.
        rate: samples a second.
        seconds: most of one recording.
        keep: hold all waveforms, as 16-bit numbers; otherwise files are read again.

    Raises:
        ValueError: if a recording can't be read, holds NaN or infinities, or none is left.
    """

    def __init__(self, corpus: Corpus, rate: int, seconds: float, keep: bool):
        self._rate, self._longest = rate, int(seconds * rate)
        kept: list[Utterance] = []
        self._waveforms: list[NDArray[np.int16] | None] = []
        counts: Counter[str] = Counter()
        for utterance in corpus.utterances:
            sound = utterance.samples()
            if not np.isfinite(sound.samples).all():
                raise ValueError(f"The recording {utterance.name} holds NaN or infinite samples.")
            if len(sound.samples) < SHORTEST * sound.rate:
                counts["empty (less than 25 ms) and left out"] += 1
                continue
            if bool((sound.samples == sound.samples[0]).all()):
                counts["silent and left out"] += 1
                continue
            if sound.rate != rate:
                counts[f"resampled from {sound.rate} to {rate} Hz"] += 1
            if len(sound.samples) > seconds * sound.rate:
                counts[f"cut to {seconds:g} s"] += 1
            if utterance.transcript is None:
                counts["without a transcript"] += 1
            kept.append(utterance)
            held = keep or not isinstance(utterance.sound, Path)
            self._waveforms.append(_packed(self._heard(sound)) if held else None)
        if not kept:
            raise ValueError("none of the recordings can be used: all are empty or silent.")
        self.utterances: Sequence[Utterance] = kept
        self.notes = " ".join(f"{count:,} recording(s) {what}." for what, count in sorted(counts.items()))

    def _heard(self, sound: Sound) -> Samples:
        longest = int(self._longest / self._rate * sound.rate) + 1
        return resampled(Sound(sound.samples[:longest], sound.rate), self._rate)[: self._longest]

    def waveform(self, number: int) -> Tensor:
        """(s,) float32 in [-1, 1]."""
        held = self._waveforms[number]
        if held is None:
            held = _packed(self._heard(self.utterances[number].samples()))
        return torch.from_numpy(held.astype(np.float32) / 32767)


def _packed(samples: Samples) -> NDArray[np.int16]:
    return (samples.clip(-1, 1) * 32767).round().astype(np.int16)
