"""The data component: utterances of a corpus."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.interfaces import Data, Flow, Split
from contrast_speech.data.corpus import Corpus, trainable
from contrast_speech.data.formants import commands
from contrast_speech.data.fsdd import fsdd
from contrast_speech.data.published import fsc, slurp, snips
from contrast_speech.data.sounds import Sounds
from contrast_speech.data.tokens import PAD, Vocabulary

Format = Literal["synthetic", "fsdd", "fsc", "slurp", "snips"]
READERS: Mapping[str, Callable[[Path], Corpus]] = {"fsdd": fsdd, "fsc": fsc, "slurp": slurp, "snips": snips}


@final
class Spoken(Data):
    """Utterances with an intent and, mostly, a transcript.

    A batch of B utterances holds `waveform` (B, s) float32 with zeros after each end, `samples` (B,), their lengths;
    `target` (B, l), SOS, intent, SEP, letters, EOS, padded with 0 to the longest of the corpus, so that all batches are
    alike; `label` and `sample` (B,); and as a single number `vocabulary`, how many tokens there are. All are int64 but
    the waveform.

    Recordings of another rate are resampled, long ones cut, empty and silent ones left out; `source` says how many.
    Utterances without a transcript train their intent alone and do not count in the word error rate. Those of an intent
    that no training utterance has are left out too: nobody could learn it.

    Args:
        format: what `path` holds: "fsdd", "fsc", "slurp", "snips". "synthetic", which needs no path, is ten commands
            of a formant synthesiser.
        path: the folder of the corpus.
        sampling_rate: samples a second of what the encoder hears.
        max_seconds: longer recordings are cut.
        keep: "memory" holds all recordings, "disk" reads those of files again for every batch.
        max_letters: of a transcript.

    Raises:
        ValueError: for a number out of range or a missing path; by `load`, in one sentence with the file, if the corpus
            can't be read.
    """

    gives = ("waveform", "samples", "target", "label", "sample", "vocabulary", "embedding.label")

    def __init__(
        self,
        format: Format = "synthetic",
        path: Path | None = None,
        sampling_rate: int = 8000,
        max_seconds: float = 7.0,
        keep: Literal["memory", "disk"] = "memory",
        max_letters: int = 130,
    ):
        if (format == "synthetic") != (path is None):
            raise ValueError(
                f"format = '{format}' {'takes no path' if path else 'needs the folder: --set data.path=FOLDER'}."
            )
        for name, number, least in (("sampling_rate", sampling_rate, 1000), ("max_letters", max_letters, 0)):
            if number < least:
                raise ValueError(f"{name} = {number} must be at least {least}.")
        if not 0.025 < max_seconds < math.inf:
            raise ValueError(f"max_seconds = {max_seconds} must be finite and more than one window of 0.025 s.")
        self.format, self.path = format, path
        self.sampling_rate, self.max_seconds, self.keep = sampling_rate, max_seconds, keep
        self.max_letters = max_letters
        self._loaded: _Loaded | None = None

    def load(self) -> None:
        """Read the corpus and look at every recording."""
        corpus = trainable(commands() if self.path is None else READERS[self.format](self.path))
        sounds = Sounds(corpus, self.sampling_rate, self.max_seconds, self.keep == "memory")
        self._loaded = _Loaded(corpus.about, sounds, self.max_letters)

    @property
    def found(self) -> _Loaded:
        """What `load` made: utterances, targets, vocabulary.

        Raises:
            ValueError: if `load` was not called.
        """
        if self._loaded is None:
            raise ValueError("The utterances are not loaded yet: call load() first.")
        return self._loaded

    @property
    def transcripts(self) -> Sequence[str | None]:
        """The words of each utterance, None where nobody wrote them down."""
        return [each.transcript for each in self.found.sounds.utterances]

    def __len__(self) -> int:
        return len(self.found.labels)

    def batch(self, items: Tensor) -> Flow:
        """Waveforms and targets of the items."""
        found = self.found
        waveforms = [found.sounds.waveform(item) for item in items.tolist()]
        return {
            "waveform": torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True),
            "samples": torch.tensor([len(each) for each in waveforms]),
            "target": found.targets[items],
            "label": found.labels[items],
            "sample": items,
            "vocabulary": torch.tensor(len(found.vocabulary)),
        }

    @property
    def training_items(self) -> Tensor:
        """The corpus' training part."""
        return self.found.part["train"]

    @property
    def evaluation_items(self) -> Tensor:
        """Validation and test items."""
        return torch.cat([self.found.part["valid"], self.found.part["test"]])

    @property
    def labels(self) -> Tensor:
        """The intent of each utterance."""
        return self.found.labels

    @property
    def classes(self) -> Sequence[str]:
        """The intents, sorted."""
        return self.found.vocabulary.intents

    @property
    def names(self) -> Sequence[str]:
        """The name of each recording."""
        return [each.name for each in self.found.sounds.utterances]

    @property
    def splits(self) -> Mapping[str, Split]:
        """The corpus' own parts."""
        part = self.found.part
        return {"parts": Split(part["train"], part["valid"], part["test"])}

    @property
    def source(self) -> str:
        """What the corpus is, its licence, what was done to it, and its size."""
        found = self.found
        size = ", ".join(f"{len(items):,} {name}" for name, items in found.part.items())
        return " ".join(text for text in (found.about, found.sounds.notes, f"{size}.") if text)


@final
class _Loaded:
    def __init__(self, about: str, sounds: Sounds, max_letters: int):
        self.about, self.sounds = about, sounds
        known = sorted({each.intent for each in sounds.utterances})
        number = {intent: place for place, intent in enumerate(known)}
        self.labels = torch.tensor([number[each.intent] for each in sounds.utterances])
        letters = sorted({letter for each in sounds.utterances for letter in each.transcript or ""})
        self.vocabulary = Vocabulary(known, letters)
        targets = [
            self.vocabulary.target(label, each.transcript, max_letters)
            for label, each in zip(self.labels.tolist(), sounds.utterances, strict=True)
        ]
        self.targets = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=PAD)
        parts = [each.part for each in sounds.utterances]
        self.part = {
            name: torch.tensor([place for place, part in enumerate(parts) if part == name], dtype=torch.long)
            for name in ("train", "valid", "test")
        }
        for name in ("train", "test"):
            if not len(self.part[name]):
                raise ValueError(f"the corpus has no {name} utterance that can be used.")
