"""The Free Spoken Digit Dataset: the folder of its repository, or the packed form (one stream and an index)."""

from __future__ import annotations

import csv
import lzma
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrast_speech.data.corpus import Corpus, Utterance, int16

RATE = 8000
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ABOUT = (
    "Free Spoken Digit Dataset (Jakobovski/free-spoken-digit-dataset), {count:,} recordings of ten digits, 8 kHz; "
    "CC BY-SA 4.0. Takes 0 to 4 test, 5 to 9 validate, the others train."
)
_FILE = re.compile(r"(\d)_([A-Za-z]+)_(\d+)\.wav")


def fsdd(folder: Path) -> Corpus:
    """All recordings, sorted by speaker, digit and take.

    Raises:
        ValueError: if the folder holds neither `fsdd_index.csv` nor WAV files named DIGIT_SPEAKER_TAKE.wav.
    """
    found = _packed(folder) if (folder / "fsdd_index.csv").exists() else _files(folder)
    if not found:
        raise ValueError(
            f"{folder} holds no recordings of FSDD: neither fsdd_index.csv nor files such as 3_theo_7.wav, in it or in "
            "its folder recordings."
        )
    return Corpus(found, ABOUT.format(count=len(found)))


def _part(take: int) -> str:
    return "test" if take < 5 else "valid" if take < 10 else "train"


def _files(folder: Path) -> list[Utterance]:
    inner = folder / "recordings" if (folder / "recordings").is_dir() else folder
    known = [(path, match) for path in inner.glob("*.wav") if (match := _FILE.fullmatch(path.name))]
    known.sort(key=lambda each: (each[1][2], int(each[1][1]), int(each[1][3])))
    return [Utterance(path, match[1], WORDS[int(match[1])], _part(int(match[3])), path.stem) for path, match in known]


def _packed(folder: Path) -> list[Utterance]:
    try:
        samples = unpacked(lzma.decompress((folder / "fsdd_pcm16.xz").read_bytes()))
    except (OSError, lzma.LZMAError) as error:
        raise ValueError(f"{folder / 'fsdd_pcm16.xz'} can't be unpacked: {error}.") from error
    found = []
    with (folder / "fsdd_index.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            start, length, take = int(row["start"]), int(row["length"]), int(row["take"])
            name = f"{row['digit']}_{row['speaker']}_{take}"
            sound = int16(samples[start : start + length], RATE)
            found.append(Utterance(sound, row["digit"], WORDS[int(row["digit"])], _part(take), name))
    return found


def unpacked(stream: bytes) -> NDArray[np.int16]:
    """The samples: low bytes, then high bytes, of zigzag-coded differences."""
    half = len(stream) // 2
    low, high = (np.frombuffer(part, dtype=np.uint8).astype(np.uint16) for part in (stream[:half], stream[half:]))
    z = low | (high << 8)
    differences = (z >> 1) ^ (np.uint16(0) - (z & 1))
    return np.cumsum(differences, dtype=np.uint16).view(np.int16)
