"""A teacher that follows its student slowly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import final

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.teaching import Teaching
from contrast_core.interfaces import Encoder, Flow


@final
class Momentum(Teaching):
    """Any encoder (the student, theta_q) and a copy of it without gradients (the teacher, theta_k):

        theta_k <- momentum theta_k + (1 - momentum) theta_q        after each optimiser step

    Gives the student's tables under their names, and the teacher's, detached, under `NAME-teacher`; the
    column `source` is "student" or "teacher". Evaluation and export use the student.

    The teacher starts as an exact copy when the layers are built, and first moves after the first step. He et
    al. (Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020, algorithm 1) update it
    at the end of a step too; their code does so at the start of the next one, which gives the same sequence,
    because the one update more, before the first step, averages two equal networks.

    Buffers of the teacher are copied from the student after each step, not averaged. In training, batch
    normalisation in the teacher uses the statistics of its own batch, as in MoCo; MoCo's shuffling between
    devices, which keeps these statistics from telling the positive pair, has no counterpart in one process:
    prefer encoders without it.

    With `final` the momentum goes there on half a cosine and stays there; teachers of BYOL, DINO and BECLR do so, to 1:

        m_t = final + (momentum - final) (1 + cos(pi t / updates)) / 2        at update t = 0, 1, ...

    Args:
        encoder: the student.
        tables: whose teacher's counterparts are given; left out, all.
        momentum: from 0 (the teacher is always equal to the student) to 1 (it never moves).
        reads: what the teacher reads in place of an input of the student, under the input's name: it may look at an
            augmented copy while the student looks at the original, or the other way round.
        final: the momentum in the end; left out, it never changes.
        updates: after how many steps that is, usually all of the training.

    Raises:
        ValueError: if a momentum is outside [0, 1], `final` and `updates` do not come together, or the student gives
            no such table or reads no such input.
    """

    def __init__(
        self,
        encoder: Encoder,
        tables: Sequence[str] | None = None,
        momentum: float = 0.999,
        reads: Mapping[str, str] | None = None,
        final: float | None = None,
        updates: int | None = None,
    ):
        for key, value in (("momentum", momentum), ("final", momentum if final is None else final)):
            if not 0 <= value <= 1:
                raise ValueError(f"{key} = {value} must be from 0 to 1; usual values are 0.99 to 0.9999.")
        if (final is None) != (updates is None) or (updates is not None and updates < 1):
            raise ValueError(
                f"A momentum that changes needs both final = {final} and updates = {updates}, the number of steps, "
                "at least 1, after which it is there."
            )
        super().__init__(encoder, tables, reads)
        self.momentum, self.final, self.updates = momentum, final, updates
        if updates is not None:
            self.register_buffer("updated", torch.tensor(0))

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The student's tables and the teacher's."""
        return {**self.learned(flow), **self.taught(flow)}

    def current(self) -> float:
        """The momentum of the next update."""
        if self.final is None or self.updates is None:
            return self.momentum
        done = min(int(self.get_buffer("updated")) / self.updates, 1.0)
        return self.final + (self.momentum - self.final) * (1 + math.cos(math.pi * done)) / 2

    @torch.no_grad()
    def after_update(self) -> None:
        """One step of the teacher towards the student."""
        momentum = self.current()
        for slow, fast in zip(self.teacher.parameters(), self.encoder.parameters(), strict=True):
            slow.mul_(momentum).add_(fast, alpha=1 - momentum)
        if self.updates is not None:
            self.get_buffer("updated").add_(1)
        for kept, fresh in zip(self.teacher.buffers(), self.encoder.buffers(), strict=True):
            kept.copy_(fresh)
