"""A model that remembers itself at the end of every task: the teacher of distillation, and the task matrix."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Literal, final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Encoder, Flow
from contrast_speech.encoder import Seq2Seq

TAUGHT = ("embedding", "audio", "tokens", "intent")
WHOLE = ("vocabulary",)
"""Inputs that are no row an utterance."""


@final
class TaskSnapshots(Encoder):
    """A sequence-to-sequence model (the student) and frozen copies of it, theta_1 ... theta_n, one a finished task.

    The copy is taken by the first batch of the next task, before that batch changes anything; theta_(n-1) is the
    teacher of task n. Gives the student's tables and, detached and in evaluation mode, the teacher's `NAME-teacher` of
    embedding, audio, tokens and intent. These have the rows that the teacher listened to: those of rehearsal, or all;
    in the first task none, so that whatever compares with a teacher has nothing to compare. `sequences` has the
    student's logits on what the teacher says to the same rows by greedy decoding (column `target`), if that is wanted.

    In evaluation mode the column `after` of `intent`, (B, tasks) int64, says which first token each copy predicts, the
    last one being the student itself; -1 for tasks to come. All copies are part of the weights: their number is that of
    the tasks less one.

    Args:
        encoder: the student, `speech/seq2seq`.
        rows: whose rows the teacher listens to: "rehearsal" or "all".
        sequences: whether the teacher decodes, for sequence distillation.

    Raises:
        ValueError: if the encoder is another one.

    Paper: COCONUT, arXiv 2310.02699. It decodes once, at the end of a task, by beam search; here the teacher decodes
    the augmented recording again in every step, greedily.
    """

    def __init__(self, encoder: Encoder, rows: Literal["rehearsal", "all"] = "rehearsal", sequences: bool = False):
        super().__init__()
        if not isinstance(encoder, Seq2Seq):
            raise ValueError(f"The encoder inside must be speech/seq2seq, not {type(encoder).__name__}.")
        self.encoder, self.rows, self.sequences = encoder, rows, sequences
        self.embedding = encoder.embedding
        self.needs = (*encoder.needs, "task", "tasks")
        columns = ("", ".label", ".rehearsal", ".sample")
        self.gives = (
            *encoder.gives,
            "intent.after",
            *(f"{table}-teacher{column}" for table in TAUGHT for column in columns),
            "tokens-teacher.target",
            *(f"sequences{column}" for column in (*columns, ".target") if sequences),
        )
        self.snapshots: nn.ModuleList
        self.task: Tensor
        self.register_buffer("task", torch.zeros((), dtype=torch.long))

    def prepare(self, flow: Flow) -> None:
        """Build the student, and room for its copies."""
        self.encoder.prepare(flow)
        copies = [deepcopy(self.encoder).requires_grad_(False) for _ in range(int(flow["tasks"]) - 1)]
        self.snapshots = nn.ModuleList(copies).eval()

    def train(self, mode: bool = True) -> TaskSnapshots:
        """The student alone changes its mode; copies stay in evaluation mode."""
        super().train(mode)
        if hasattr(self, "snapshots"):
            self.snapshots.eval()
        return self

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The student's tables and the teacher's."""
        if self.training:
            self._go_to(int(flow["task"]))
        found = dict(self.encoder(flow))
        after = torch.full((len(flow["label"]), len(self.snapshots) + 1), -1, device=flow["label"].device)
        if not self.training:
            after = self._after(flow, after)
        found["intent"] = found["intent"].with_columns(after=after)
        return {**found, **self._taught(flow, found)}

    def embed(self, flow: Flow) -> Embeddings:
        """The student's embedding."""
        return self.encoder.embed(flow)

    def teacher(self) -> Seq2Seq | None:
        """The model after the task before this one; None in the first task."""
        task = int(self.task)
        found = self.snapshots[task - 1] if task else None
        assert found is None or isinstance(found, Seq2Seq)
        return found

    @torch.no_grad()
    def _go_to(self, task: int) -> None:
        """Copy the student for every task that has ended."""
        if task <= int(self.task):
            return
        for place in range(int(self.task), task):
            self.snapshots[place].load_state_dict(self.encoder.state_dict())
        self.task.fill_(task)

    @torch.no_grad()
    def _after(self, flow: Flow, after: Tensor) -> Tensor:
        models = [*self.snapshots[: int(self.task)], self.encoder]
        for place, model in enumerate(models):
            assert isinstance(model, Seq2Seq)
            after[:, place] = model.first(flow)
        return after

    def _taught(self, flow: Flow, found: Mapping[str, Embeddings]) -> dict[str, Embeddings]:
        teacher = self.teacher()
        chosen = torch.ones_like(flow["rehearsal"]) if self.rows == "all" else flow["rehearsal"]
        rows = chosen.nonzero()[:, 0] if teacher is not None else chosen[:0]
        if teacher is None or not len(rows):
            nothing = rows[:0].long()
            made = {f"{name}-teacher": found[name].detach().select(nothing) for name in TAUGHT}
            if self.sequences:
                made["sequences"] = found["tokens"].select(nothing)
            return made
        seen = {name: flow[name] if name in WHOLE else flow[name][rows] for name in self.encoder.needs}
        with torch.no_grad():
            taught: Mapping[str, Embeddings] = teacher(seen)  # in evaluation mode: `said` is decoded
        made = {f"{name}-teacher": taught[name].detach() for name in TAUGHT}
        if self.sequences:
            said = taught["intent"]["said"]
            table = Embeddings({"logits": self.encoder.logits_of(seen, said)}, taught["tokens"].columns)
            made["sequences"] = table.with_columns(target=said)
        return made
