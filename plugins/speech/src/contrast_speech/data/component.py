"""The data component: utterances of a corpus as a sequence of tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.interfaces import Data, Flow, Split
from contrast_speech.data.corpus import Corpus
from contrast_speech.data.formants import commands
from contrast_speech.data.fsdd import fsdd
from contrast_speech.data.published import fsc, slurp, snips
from contrast_speech.data.sounds import Sounds
from contrast_speech.data.tasks import Rehearsal, Tasks, drawn_classes
from contrast_speech.data.tokens import PAD, Vocabulary

Format = Literal["synthetic", "fsdd", "fsc", "slurp", "snips"]
READERS: Mapping[str, Callable[[Path], Corpus]] = {"fsdd": fsdd, "fsc": fsc, "slurp": slurp, "snips": snips}


@final
class Spoken(Data):
    """Utterances with an intent and, mostly, a transcript, in tasks of some intents each.

    An epoch of the training plan is the whole sequence of tasks, each `epochs` times over its own items; a run trains
    one epoch. Rows of earlier tasks in a batch are rehearsal. A batch of B utterances holds `waveform` (B, s) float32
    with zeros after each end, `samples` (B,), their lengths; `target` (B, l), SOS, intent, SEP, letters, EOS, padded
    with 0; `label`, `rehearsal` (0 or 1) and `sample` (B,); and as single numbers `task`, `tasks` and `vocabulary`
    (how many there are) and `past_share`, the share of past among all intents seen. All are int64 but the waveform and
    that share.

    Recordings of another rate are resampled, long ones cut, empty and silent ones left out; `source` says how many.
    Utterances without a transcript train their intent alone and do not count in the word error rate.

    Args:
        format: what `path` holds: "fsdd", "fsc", "slurp", "snips". "synthetic", which needs no path, is ten commands
            of a formant synthesiser.
        path: the folder of the corpus.
        sampling_rate: samples a second of what the encoder hears.
        max_seconds: longer recordings are cut.
        keep: "memory" holds all recordings, "disk" reads those of files again for every batch.
        tasks: how many intents each task has.
        by: what `tasks` counts: intents, or scenarios (an intent's name up to the first "_"), which stay together.
        named_tasks: the intents of each task by name, in place of `tasks`; an intent may come back.
        order: of the intents: "drawn" from `order_seed`, or "sorted" by name, as for SLURP in the paper.
        order_seed: of a drawn order and of the choice of exemplars.
        epochs: passes over the items of each task.
        memory: exemplars that are kept of each intent, chosen at random when its first task ends; 0 keeps none.
        memory_share: their number as a share of the training set instead, as in the paper: floor(share m / intents).
        rehearsal: exemplars in each batch of a later task, beside its new items, or "append": the memory is shuffled
            among the task's items, as the authors of COCONUT do.
        max_letters: of a transcript.

    Raises:
        ValueError: for a number out of range, a missing path, or tasks that do not fit; by `load`, in one sentence
            with the file, if the corpus can't be read.

    Paper: the class-incremental protocol of arXiv 2310.02699; there no seed orders the classes.
    """

    gives = (
        "waveform", "samples", "target", "label", "rehearsal", "sample", "task", "tasks", "vocabulary",
        "past_share", "embedding.label",
    )  # fmt: skip

    def __init__(
        self,
        format: Format = "synthetic",
        path: Path | None = None,
        sampling_rate: int = 8000,
        max_seconds: float = 7.0,
        keep: Literal["memory", "disk"] = "memory",
        tasks: Sequence[int] = (4, 2, 2, 2),
        by: Literal["intent", "scenario"] = "intent",
        named_tasks: Sequence[Sequence[str]] | None = None,
        order: Literal["drawn", "sorted"] = "drawn",
        order_seed: int = 0,
        epochs: int = 8,
        memory: int = 8,
        memory_share: float | None = None,
        rehearsal: Rehearsal = 16,
        max_letters: int = 130,
    ):
        if (format == "synthetic") != (path is None):
            raise ValueError(
                f"format = '{format}' {'takes no path' if path else 'needs the folder: --set data.path=FOLDER'}."
            )
        for name, number, least in (
            ("sampling_rate", sampling_rate, 1000), ("epochs", epochs, 1), ("memory", memory, 0),
            ("rehearsal", 0 if rehearsal == "append" else rehearsal, 0), ("max_letters", max_letters, 0),
        ):  # fmt: skip
            if number < least:
                raise ValueError(f"{name} = {number} must be at least {least}.")
        if not 0.025 < max_seconds < math.inf:
            raise ValueError(f"max_seconds = {max_seconds} must be finite and more than one window of 0.025 s.")
        if memory_share is not None and not 0 <= memory_share <= 1:
            raise ValueError(f"memory_share = {memory_share} must be from 0 to 1.")
        self.format, self.path = format, path
        self.sampling_rate, self.max_seconds, self.keep = sampling_rate, max_seconds, keep
        self.sizes, self.by, self.named, self.order_seed = tuple(tasks), by, named_tasks, order_seed
        self.order = order
        self.epochs, self.memory, self.memory_share = epochs, memory, memory_share
        self.rehearsal, self.max_letters = rehearsal, max_letters
        self._loaded: _Loaded | None = None

    def load(self) -> None:
        """Read the corpus, look at every recording, form the tasks."""
        corpus = commands() if self.path is None else READERS[self.format](self.path)
        sounds = Sounds(corpus, self.sampling_rate, self.max_seconds, self.keep == "memory")
        self._loaded = _Loaded(self, corpus.about, sounds)

    @property
    def found(self) -> _Loaded:
        """What `load` made: utterances, tasks, vocabulary.

        Raises:
            ValueError: if `load` was not called.
        """
        if self._loaded is None:
            raise ValueError("The utterances are not loaded yet: call load() first.")
        return self._loaded

    @property
    def in_tasks(self) -> Tasks:
        """The tasks."""
        return self.found.tasks

    @property
    def transcripts(self) -> Sequence[str | None]:
        """The words of each utterance, None where nobody wrote them down."""
        return [each.transcript for each in self.found.sounds.utterances]

    def __len__(self) -> int:
        return len(self.found.labels)

    def batch(self, items: Tensor) -> Flow:
        """Waveforms and targets of the items; the latest task among them is the batch's."""
        found = self.found
        waveforms = [found.sounds.waveform(item) for item in items.tolist()]
        of_item = found.tasks.of_item[items]
        task = of_item.max()
        return {
            "waveform": torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True),
            "samples": torch.tensor([len(each) for each in waveforms]),
            "target": torch.nn.utils.rnn.pad_sequence(
                [found.targets[item] for item in items.tolist()], batch_first=True, padding_value=PAD
            ),
            "label": found.labels[items],
            "rehearsal": (of_item < task).long(),
            "sample": items,
            "task": task,
            "past_share": torch.tensor(found.tasks.past_share(int(task))),
            "tasks": torch.tensor(len(found.tasks)),
            "vocabulary": torch.tensor(len(found.vocabulary)),
        }

    @property
    def training_items(self) -> Tensor:
        """The training items of all tasks."""
        return torch.cat([self.in_tasks.items(task) for task in range(len(self.in_tasks))])

    def drawn(self, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
        """The batches of all tasks in their order."""
        return self.in_tasks.batches(batch_size, self.epochs, self.rehearsal, generator)

    def told(self, batch: Flow) -> str:
        """The batch's task."""
        return f"task {int(batch['task']) + 1}/{int(batch['tasks'])}"

    @property
    def evaluation_items(self) -> Tensor:
        """Validation and test items of intents that some task has."""
        split = self.splits["parts"]
        return torch.cat([split.val, split.test])

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
        return {"parts": Split(self.training_items, part["valid"], part["test"])}

    @property
    def source(self) -> str:
        """What the corpus is, its licence, what was done to it, and the tasks."""
        found = self.found
        order = "; ".join(", ".join(self.classes[label] for label in own) for own in found.tasks.classes)
        memory = len(found.tasks.memory(len(found.tasks)))
        size = f"{len(self.training_items):,} train; at most {memory:,} of them are kept as memory."
        return " ".join(text for text in (found.about, found.sounds.notes, size, f"Tasks: {order}.") if text)


@final
class _Loaded:
    def __init__(self, data: Spoken, about: str, sounds: Sounds):
        self.about, self.sounds = about, sounds
        known = sorted({each.intent for each in sounds.utterances})
        number = {intent: place for place, intent in enumerate(known)}
        self.labels = torch.tensor([number[each.intent] for each in sounds.utterances])
        letters = sorted({letter for each in sounds.utterances for letter in each.transcript or ""})
        self.vocabulary = Vocabulary(known, letters)
        self.targets = [
            self.vocabulary.target(label, each.transcript, data.max_letters)
            for label, each in zip(self.labels.tolist(), sounds.utterances, strict=True)
        ]
        parts = [each.part for each in sounds.utterances]
        train = torch.tensor([place for place, part in enumerate(parts) if part == "train"], dtype=torch.long)
        kept = data.memory if data.memory_share is None else int(data.memory_share * len(train) / len(known))
        self.tasks = Tasks(_named(data, number), self.labels, train, kept, data.order_seed)
        inside = self.tasks.of_item >= 0
        self.part = {
            name: torch.tensor([n for n, part in enumerate(parts) if part == name and inside[n]], dtype=torch.long)
            for name in ("valid", "test")
        }
        if not len(self.part["test"]):
            raise ValueError("the corpus has no test utterance of the tasks' intents, so nothing could be evaluated.")


def _named(data: Spoken, number: Mapping[str, int]) -> list[list[int]]:
    if data.named is None:
        groups: dict[str, list[int]] = {}
        for intent, label in number.items():
            groups.setdefault(intent.partition("_")[0] if data.by == "scenario" else intent, []).append(label)
        own = list(groups.values())
        drawn = drawn_classes(len(own), data.sizes, data.order_seed if data.order == "drawn" else None)
        return [[label for group in task for label in own[group]] for task in drawn]
    if unknown := [name for own in data.named for name in own if name not in number]:
        raise ValueError(f"named_tasks has '{unknown[0]}', which is none of the intents {', '.join(number)}.")
    if not data.named or not all(data.named):
        raise ValueError("named_tasks must hold at least one task, and each task at least one intent.")
    return [[number[name] for name in own] for own in data.named]
