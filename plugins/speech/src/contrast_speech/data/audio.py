"""Sounds: reading files, resampling."""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

Samples = NDArray[np.float32]


@frozen(eq=False)
class Sound:
    """Samples (n,) float32 in [-1, 1], one channel, and how many of them make a second."""

    samples: Samples
    rate: int


def read_sound(path: Path) -> Sound:
    """A file: WAV by scipy; all else (FLAC, Ogg ...) by soundfile, where that is installed. Channels are averaged.

    Raises:
        ValueError: if it is missing, no sound, or needs soundfile.
    """
    try:
        if path.suffix.lower() == ".wav":
            rate, found = wavfile.read(path)
            return Sound(_one_channel(_as_floats(np.asarray(found))), int(rate))
        samples, rate = _soundfile(path)
        return Sound(_one_channel(samples), rate)
    except FileNotFoundError as error:
        raise ValueError(f"The recording {path} is missing.") from error
    except (ValueError, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"The recording {path} can't be read: {' '.join(str(error).split())}.") from error


def _soundfile(path: Path) -> tuple[Samples, int]:
    try:
        import soundfile
    except ImportError as error:
        raise ValueError(f"{path.suffix or 'such'} files need the package soundfile: pip install soundfile") from error
    samples, rate = soundfile.read(path, dtype="float32")
    return samples, int(rate)


def _as_floats(samples: NDArray[Any]) -> Samples:
    floats = samples.astype(np.float32)
    if samples.dtype == np.uint8:
        return np.asarray((floats - 128) / 128, dtype=np.float32)
    if np.issubdtype(samples.dtype, np.integer):
        return np.asarray(floats / -float(np.iinfo(samples.dtype).min), dtype=np.float32)
    return floats


def _one_channel(samples: Samples) -> Samples:
    return np.asarray(samples.mean(1), dtype=np.float32) if samples.ndim == 2 else samples


def resampled(sound: Sound, rate: int) -> Samples:
    """The samples at another rate, by scipy's polyphase filter; as they are if the rate is right already."""
    if sound.rate == rate or not len(sound.samples):
        return sound.samples
    common = gcd(sound.rate, rate)
    return np.asarray(resample_poly(sound.samples, rate // common, sound.rate // common), dtype=np.float32)
