"""The teacher's own transcripts as targets of the student: sequence distillation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch

from contrast_core.cutting import some_items
from contrast_core.embeddings import Embeddings
from contrast_core.encoders.task_teacher import TaskTeacher
from contrast_core.interfaces import Encoder, Flow
from contrast_speech.encoder import Seq2Seq


@final
class TaughtSequences(Encoder):
    """`core/task-teacher` of a `speech/seq2seq`, and one table more: what the teacher says, said by the student.

        said_k = greedy decoding of the teacher (its column `said`);      logits_kj = student(said_k,<j, x_k)

    The table `sequences` has the field `logits` (r, longest, vocabulary) and the columns `target` = said (r, longest)
    int64, `label` and `sample`, for the r rows that the teacher looks at; `speech/token-cross-entropy` on it is S-KD.
    All else is as the encoder inside gives it.

    Args:
        encoder: the teacher and its student.

    Raises:
        ValueError: if the encoder inside is another one.

    Paper: Cappellazzo et al., Interspeech 2023, arXiv 2305.13899. There the teacher decodes once, at the end of a task,
    by beam search; here it decodes the augmented recording again in every step, greedily.
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        if not isinstance(encoder, TaskTeacher) or not isinstance(encoder.encoder, Seq2Seq):
            raise ValueError(
                "The encoder inside must be core/task-teacher, and the one inside of that speech/seq2seq: "
                'encoder = {use = "core/task-teacher", encoder = {use = "speech/seq2seq"}}.'
            )
        if "intent" not in encoder.tables:
            raise ValueError(f"The teacher's tables must include intent, with what it says; they are {encoder.tables}.")
        self.encoder = encoder
        self.embedding, self.needs = encoder.embedding, encoder.needs
        self.gives = (*encoder.gives, *(f"sequences{column}" for column in ("", ".label", ".sample", ".target")))

    def prepare(self, flow: Flow) -> None:
        """Build the layers."""
        self.encoder.prepare(flow)
        teacher = self.encoder.teacher
        assert isinstance(teacher, Seq2Seq)
        teacher.decodes = True

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The tables of the encoder inside, and `sequences`."""
        found = dict(self.encoder(flow))
        student, taught = self.encoder.encoder, found["intent-teacher"]
        assert isinstance(student, Seq2Seq)
        said = taught["said"]
        if len(taught):
            rows = torch.isin(flow["sample"], taught["sample"]).nonzero()[:, 0]
            seen = some_items({name: flow[name] for name in self.needs}, rows, len(flow["sample"]))
            logits = student.logits_of(seen, said)
        else:
            logits = found["intent"].z[:0, None].expand(-1, student.longest, -1)
        columns = {name: taught[name] for name in ("label", "sample")}
        return {**found, "sequences": Embeddings({"logits": logits}, {**columns, "target": said})}

    def embed(self, flow: Flow) -> Embeddings:
        """The student's embedding."""
        return self.encoder.embed(flow)
