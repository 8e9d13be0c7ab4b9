"""Where the training of a stage stands: everything a checkpoint holds that is not a tensor of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, define, field, fields


@define
class Position:
    """A place in the course of a run.

    Args:
        stage: number of the stage, from 0.
        first_step: steps that the stages before took.
        done: steps of this stage that are done.
        seconds: how long they took.
        epoch_loss: mean loss of the epoch so far, as a share of the whole epoch.
        best: the lowest loss of an epoch, or the best validation score (its negative, if larger is better); best_step:
            number of the step after which that was; stale: epochs, or validations, since then.
        ended: how many tasks have ended, with all that happens then; measured: the scores after each of them.
        alarms: what the diagnostics of the whole run raised.
    """

    stage: int = 0
    first_step: int = 0
    done: int = 0
    seconds: float = 0.0
    epoch_loss: float = 0.0
    best: float = float("inf")
    best_step: int = 0
    stale: int = 0
    ended: int = 0
    measured: list[list[dict[str, Any]]] = field(factory=list)
    alarms: list[str] = field(factory=list)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Position:
        """From the entries of a checkpoint."""
        return cls(**{a.name: state[a.name] for a in fields(cls) if a.name in state})

    @property
    def step(self) -> int:
        """Number of the last step, counted over all stages."""
        return self.first_step + self.done

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def advance(self, loss: float, per_epoch: int, first: int = 0) -> float | None:
        """One step more; at the end of an epoch, its mean loss. Epochs are counted from step `first` of the stage."""
        self.done += 1
        self.epoch_loss += loss / per_epoch
        if (self.done - first) % per_epoch:
            return None
        mean, self.epoch_loss = self.epoch_loss, 0.0
        return mean

    def judge(self, value: float) -> bool:
        """Take what shall fall, after an epoch; whether it is lower than ever."""
        better = value < self.best
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best, self.best_step = value, self.step
        return better
