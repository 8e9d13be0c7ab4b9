"""What encoders with a teacher share: a student, a copy of it without gradients, and both their tables."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.errors import did_you_mean
from contrast_core.interfaces import Encoder, Flow


class Teaching(Encoder):
    """Any encoder (the student) and a copy of it (the teacher); how the teacher follows is for the subclass to say.

    Gives the student's tables under their names, and the teacher's, detached, under `NAME-teacher`; the column `source`
    is "student" or "teacher". Evaluation and export use the student.

    Args:
        encoder: the student.
        tables: whose teacher's counterparts are given; None means all.
        reads: what the teacher reads in place of an input of the student, under the input's name.

    Raises:
        ValueError: if the student gives no such table or reads no such input.
    """

    def __init__(self, encoder: Encoder, tables: Sequence[str] | None, reads: Mapping[str, str] | None):
        super().__init__()
        have = [name for name in encoder.gives if "." not in name and name not in set(encoder.shared)]
        for table in tables or ():
            if table not in have:
                hint = did_you_mean(table, have)
                raise ValueError(f"The encoder gives no table '{table}', only {', '.join(have)}.{hint}")
        self.reads = dict(reads or {})
        for name in self.reads:
            if name not in encoder.needs:
                hint = did_you_mean(name, encoder.needs)
                raise ValueError(f"The encoder reads no input '{name}', only {', '.join(encoder.needs)}.{hint}")
        self.encoder = encoder
        self.tables = tuple(have if tables is None else tables)
        self.embedding, self.shared = encoder.embedding, tuple(encoder.shared)
        self.needs = tuple(dict.fromkeys((*encoder.needs, *self.reads.values())))
        taught = [name.partition(".") for name in encoder.gives if name.partition(".")[0] in self.tables]
        self.gives = (
            *encoder.gives,
            *(f"{table}.source" for table in have),
            *(f"{table}-teacher{dot}{column}" for table, dot, column in taught),
            *(f"{table}-teacher.source" for table in self.tables),
        )
        self.teacher: Encoder

    def prepare(self, flow: Flow) -> None:
        """Build the student's layers, then copy it."""
        self.encoder.prepare(flow)
        self.teacher = deepcopy(self.encoder).requires_grad_(False)
        for part in self.teacher.modules():
            if isinstance(part, Encoder):
                part.becomes_teacher()

    def embed(self, flow: Flow) -> Embeddings:
        """The student's embedding."""
        return self.encoder.embed(flow)

    def learned(self, flow: Flow) -> dict[str, Embeddings]:
        """The student's tables."""
        return {name: table.with_columns(source="student") for name, table in self.encoder(flow).items()}

    def taught(self, flow: Flow) -> dict[str, Embeddings]:
        """The teacher's tables under the names that they go on with; where none are wanted it computes nothing."""
        if not self.tables:
            return {}
        with torch.no_grad():
            # A copy of the flow would read more of it than the teacher does.
            seen = ChainMap({name: flow[other] for name, other in self.reads.items()}, cast("dict[str, Any]", flow))
            found: Mapping[str, Embeddings] = self.teacher(seen)
        return {f"{name}-teacher": found[name].detach().with_columns(source="teacher") for name in self.tables}
