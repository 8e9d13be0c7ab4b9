"""A teacher that is the model as it was when the last task ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.cutting import some_items
from contrast_core.embeddings import Embeddings
from contrast_core.encoders.teaching import Teaching
from contrast_core.interfaces import Encoder, Flow
from contrast_core.tasks import REHEARSED


@final
class TaskTeacher(Teaching):
    """Any encoder (the student, theta) and a frozen copy of it, theta_(n-1), taken when the task before ended:

        theta_(n-1) <- theta        when task n - 1 ends; never otherwise

    Gives the student's tables under their names, and the teacher's, detached and in evaluation mode, under
    `NAME-teacher`; the column `source` is "student" or "teacher". In the first task there is no teacher: its tables
    have no rows then, so that whatever is set against it has nothing to compare and its terms count no rows. Evaluation
    and export use the student. The copy, and whether there is one, is part of the weights.

    Args:
        encoder: the student.
        tables: whose teacher's counterparts are given; left out, all.
        rows: whose rows the teacher gives: "all", or those of "rehearsal", the others of which it does not look at.
        reads: what the teacher reads in place of an input of the student, under the input's name, for example the
            original while the student looks at an augmented copy.

    Raises:
        ValueError: if the student gives no such table or reads no such input.

    As in Learning without Forgetting (Li and Hoiem, ECCV 2016, arXiv 1606.09282) and what followed it.
    """

    ended: Tensor

    def __init__(
        self,
        encoder: Encoder,
        tables: Sequence[str] | None = None,
        reads: Mapping[str, str] | None = None,
        rows: Literal["all", "rehearsal"] = "all",
    ):
        super().__init__(encoder, tables, reads)
        self.rows = rows
        self.register_buffer("ended", torch.tensor(0))

    def prepare(self, flow: Flow) -> None:
        """Build the student's layers, and room for its copy."""
        super().prepare(flow)
        self.teacher.eval()

    def train(self, mode: bool = True) -> TaskTeacher:
        """The student alone changes its mode."""
        super().train(mode)
        if hasattr(self, "teacher"):
            self.teacher.eval()
        return self

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The student's tables and the teacher's."""
        found = self.learned(flow)
        seen = self._shown(flow) if int(self.ended) else None
        if seen is not None:
            return {**found, **self.taught(seen)}
        for name in self.tables:
            table = found[name].detach()
            nothing = torch.zeros(0, dtype=torch.long, device=table.device)
            found[f"{name}-teacher"] = table.select(nothing).with_columns(source="teacher")
        return found

    def _shown(self, flow: Flow) -> Flow | None:
        """What the teacher looks at; None if nothing."""
        if self.rows == "all":
            return flow
        # Whoever evaluates knows of no rehearsal, and needs no teacher.
        if REHEARSED not in flow or not bool(flow[REHEARSED].any()):
            return None
        again = flow[REHEARSED]
        return some_items({name: flow[name] for name in self.needs}, again.nonzero()[:, 0], len(again))

    @torch.no_grad()
    def after_task(self) -> None:
        """Copy the student."""
        self.teacher.load_state_dict(self.encoder.state_dict())
        self.ended += 1
