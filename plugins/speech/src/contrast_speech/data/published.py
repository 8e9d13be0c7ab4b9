"""Fluent Speech Commands, SLURP and SNIPS, for users who have them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contrast_speech.data.corpus import Corpus, Utterance

PARTS = {"train": "train", "valid": "valid", "devel": "valid", "dev": "valid", "test": "test"}


def fsc(folder: Path) -> Corpus:
    """Fluent Speech Commands, as torchaudio lays it out: `data/{train,valid,test}_data.csv` and `wavs/`.

    The intent is action_object_location. `folder` is `fluent_speech_commands_dataset` or the folder that holds it.

    Raises:
        ValueError: if a table or one of its columns is missing.
    """
    inner = folder / "fluent_speech_commands_dataset"
    root = inner if inner.is_dir() else folder
    found = []
    for part in ("train", "valid", "test"):
        for row in _rows(root / "data" / f"{part}_data.csv", ("path", "transcription", "action", "object", "location")):
            intent = "_".join(row[key].replace(" ", "-") for key in ("action", "object", "location"))
            found.append(_utterance(root / row["path"], intent, row["transcription"], part))
    return Corpus(found, f"Fluent Speech Commands (Fluent.ai; research licence), {len(found):,} recordings.")


def slurp(folder: Path) -> Corpus:
    """SLURP: `dataset/slurp/{train,devel,test}.jsonl` of its repository, recordings in `audio/slurp_real`.

    The intent is scenario_action. A sentence has several recordings; each is an utterance.

    Raises:
        ValueError: if a file is missing or a line can't be read.
    """
    found = []
    for name in ("train", "devel", "test"):
        for place, line in _lines(folder / "dataset" / "slurp" / f"{name}.jsonl"):
            try:
                intent, words = f"{line['scenario']}_{line['action']}", line["sentence"]
                files = [recording["file"] for recording in line["recordings"]]
            except (KeyError, TypeError) as error:
                raise ValueError(f"{place}: a line of SLURP needs scenario, action, sentence, recordings.") from error
            audio = folder / "audio" / "slurp_real"
            found += [_utterance(audio / file, intent, words, PARTS[name]) for file in files]
    return Corpus(found, f"SLURP (text CC BY 4.0, audio CC BY-NC 4.0), {len(found):,} recordings.")


def snips(folder: Path) -> Corpus:
    """SNIPS, spoken: torchaudio's layout, `all.iob.snips.txt` and folders `train`, `valid`, `test` of recordings.

    A line is `ID BOS words EOS<tab>O slots INTENT`; a recording's name begins with its part's folder.

    Raises:
        ValueError: if the list is missing, or a recording has no line in it.
    """
    listed = folder / "all.iob.snips.txt"
    if not listed.exists():
        raise ValueError(f"{listed} is missing: SNIPS lists its sentences and intents there.")
    known = {}
    for line in listed.read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition("\t")
        words, labels = left.split(), right.split()
        if len(words) >= 3 and labels:
            known[words[0]] = (" ".join(words[2:-1]), labels[-1])
    found = []
    for part in ("train", "valid", "test"):
        for path in sorted((folder / part).glob("*.wav")):
            if path.stem not in known:
                raise ValueError(f"{path} has no line in {listed.name}, so nobody knows its intent.")
            words_of, intent = known[path.stem]
            found.append(_utterance(path, intent, words_of, part))
    return Corpus(found, f"SNIPS, {len(found):,} recordings.")


def _utterance(path: Path, intent: str, transcript: str | None, part: str) -> Utterance:
    return Utterance(path, intent, (transcript or "").strip().lower() or None, part, path.stem)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                raise ValueError(f"{path} has no column '{missing[0]}'.")
            yield from reader
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}.") from error


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}.") from error
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yield f"{path}:{number}", json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{number}: no JSON: {error.msg}.") from error
