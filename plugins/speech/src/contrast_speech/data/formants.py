"""Synthetic spoken commands: a small formant synthesiser. No recording of anybody; honest about being none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from contrast_speech.data.audio import Sound
from contrast_speech.data.corpus import Corpus, Utterance

RATE = 8000
VOWELS: Mapping[str, tuple[int, int, int]] = {
    "a": (730, 1090, 2440), "e": (530, 1840, 2480), "i": (270, 2290, 3010), "o": (570, 840, 2410),
    "u": (300, 870, 2240), "l": (360, 1300, 2700), "m": (250, 1000, 2200), "n": (250, 1400, 2300),
    "r": (310, 1060, 1380), "w": (290, 610, 2150), "y": (280, 2200, 2950),
}  # fmt: skip
"""Formants in hertz: vowels after Peterson and Barney (1952), men; the others rounded textbook values."""
NOISES: Mapping[str, tuple[int, int, float]] = {
    "s": (2800, 3900, 0.09), "f": (1200, 3800, 0.07), "h": (500, 2500, 0.05), "t": (2200, 3900, 0.03),
    "k": (1300, 2600, 0.04), "p": (300, 1400, 0.03), "d": (1800, 3400, 0.03), "g": (900, 2200, 0.04),
    "b": (200, 1000, 0.03), "c": (1300, 2600, 0.04),
}  # fmt: skip
"""Band in hertz and seconds of the noise of a consonant."""
ACTIONS = ("on", "off")
OBJECTS = ("lamp", "music", "heat", "door", "fan")
ABOUT = (
    "Synthetic: {count} commands (2 actions times 5 objects) of {voices} invented voices, spoken by a formant "
    "synthesiser of this package at 8 kHz. No recording of anybody; it stands in where no corpus is at hand."
)


def commands(per_intent: int = 60, seed: int = 0) -> Corpus:
    """`per_intent` utterances of each of ten commands, a fifth of them for testing and a tenth for validation.

    Voices differ in pitch, length of the vocal tract and tempo; no voice of a test utterance trains.
    """
    draw = np.random.default_rng(seed)
    found = []
    for number in range(per_intent):
        part = "test" if number % 5 == 4 else "valid" if number % 10 == 3 else "train"
        voice = Voice(draw)
        for action in ACTIONS:
            for thing in OBJECTS:
                words = f"{thing} {action}"
                sound = Sound(spoken(words, voice, draw), RATE)
                found.append(Utterance(sound, f"{action}_{thing}", words, part, f"voice {number}: {words}"))
    return Corpus(found, ABOUT.format(count=len(found), voices=per_intent))


class Voice:
    """Pitch in hertz, factor of all formants, seconds of a vowel, noise of the room."""

    def __init__(self, draw: np.random.Generator):
        self.pitch = draw.uniform(90, 230)
        self.tract = draw.uniform(0.9, 1.15)
        self.tempo = draw.uniform(0.07, 0.13)
        self.noise = 10 ** draw.uniform(-2.5, -1.3)


def spoken(words: str, voice: Voice, draw: np.random.Generator) -> NDArray[np.float32]:
    """The samples of some words, one sound a letter."""
    pieces = [_letter(letter, voice, draw) for letter in words]
    whole = np.concatenate(pieces)
    whole = whole + voice.noise * draw.standard_normal(len(whole)) * float(np.abs(whole).max())
    return np.asarray(0.5 * whole / np.abs(whole).max() * 10 ** draw.uniform(-0.7, 0), dtype=np.float32)


def _letter(letter: str, voice: Voice, draw: np.random.Generator) -> NDArray[np.float64]:
    if letter in VOWELS:
        return _voiced(VOWELS[letter], voice, draw)
    if letter in NOISES:
        low, high, seconds = NOISES[letter]
        return _noise(low, high, seconds * draw.uniform(0.8, 1.25), draw)
    return np.zeros(int(RATE * voice.tempo / 2))


def _voiced(formants: tuple[int, int, int], voice: Voice, draw: np.random.Generator) -> NDArray[np.float64]:
    """Harmonics of the pitch, each as loud as the resonances near it."""
    time = np.arange(int(RATE * voice.tempo * draw.uniform(0.8, 1.25))) / RATE
    pitch = voice.pitch * draw.uniform(0.92, 1.08)
    total = np.zeros_like(time)
    for harmonic in range(1, int(3900 / pitch) + 1):
        frequency = harmonic * pitch
        loudness = sum(
            (0.6**place) / (1 + ((frequency - voice.tract * formant) / (60 + 20 * place)) ** 2)
            for place, formant in enumerate(formants)
        )
        total += loudness * np.sin(2 * np.pi * frequency * time + draw.uniform(0, 2 * np.pi))
    return np.asarray(total * np.hanning(len(time)) ** 0.3)


def _noise(low: int, high: int, seconds: float, draw: np.random.Generator) -> NDArray[np.float64]:
    count = max(int(RATE * seconds), 8)
    spectrum = np.fft.rfft(draw.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    spectrum[(frequency < low) | (frequency > high)] = 0
    found = np.fft.irfft(spectrum, count)
    return np.asarray(found * np.hanning(count) ** 0.3)
