"""The training loop: one stage of a run, from its beginning or from a checkpoint, to bit-equal losses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from contrast_core.compose import Composition
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Flow
from contrast_core.pipeline import blaming, total
from contrast_core.training.borders import end_task
from contrast_core.training.checkpoint import save_checkpoint
from contrast_core.training.context import Context
from contrast_core.training.embedding import diagnose
from contrast_core.training.legs import Leg, legs_of
from contrast_core.training.loader import batches
from contrast_core.training.optimiser import Schedule, optimiser_for
from contrast_core.training.position import Position
from contrast_core.training.record import Record
from contrast_core.training.runtime import runtime_for
from contrast_core.training.validation import Validation

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, a short text) after each step."""


@final
class Trainer:
    """The training of one stage. Making it checks all that can be checked and writes nothing; `run` does the work.

    Args:
        composition: data loaded, pipeline prepared.
        folder: the run folder; metrics, diagnostics and checkpoints are written there.
        stage: the stage's name; position: its number, and the steps and alarms of the ones before.
        identity: what a checkpoint has to have in common with the run that it resumes, a digest of the recipe.
        resume: a checkpoint of this stage to go on from; it replaces `position`.

    Raises:
        ContrastError: if there is too little data, the device or the parameter groups do not fit, or the checkpoint is
            that of another recipe.
    """

    def __init__(
        self,
        composition: Composition,
        folder: Path,
        *,
        stage: str = "",
        position: Position | None = None,
        identity: str = "",
        resume: Mapping[str, Any] | None = None,
    ):
        self.data, self.pipeline, self.training = composition.data, composition.pipeline, composition.training
        self.step, self.folder, self.stage = composition.step, folder, stage
        self.position = position or Position()
        self.runtime = runtime_for(self.training, together=True, whole=self.data.whole)
        self.processes = self.runtime.processes
        self.composition = composition
        self.legs = legs_of(composition, self.training, self.processes.size)
        self.steps = self.legs[-1].end
        self.pipeline.to(self.runtime.device)
        self.optimizer = self.runtime.prepare(self.pipeline, optimiser_for(self.pipeline, self.training))
        self.schedule = Schedule(self.optimizer, self.training, self.steps)
        self.restarts = composition.tasks is not None and composition.tasks.restart
        self.identity = identity
        self.validation = Validation(composition) if self.training.validate is not None else None
        self._best: Mapping[str, Tensor] | None = None
        self._resumed: Mapping[str, Any] | None = None
        if resume is not None:
            self._restore(resume)

    def run(self, progress: Progress = lambda *_: None) -> Position:
        """Train to the end; returns where that is. With a validation score the pipeline has the best weights then.

        Raises:
            ContrastError: if a loss term, the gradient (with `clip_norm`), a parameter or the embedding stops being
                finite; the sentence names it and the step.
        """
        at, training = self.position, self.training
        context = Context(self.pipeline, self.optimizer, self.schedule, self.runtime, training.clip_norm)
        first = self.processes.first
        record = Record(self.folder, training.tensorboard, self._kept_sizes(), at.step + 1) if first else None
        began = time.perf_counter() - at.seconds
        saved = at.done if self._resumed else -1
        try:
            self.pipeline.train()
            # Nothing that may draw random numbers comes between this and the first batch.
            if self._resumed:
                self.processes.load_state(self._resumed)
            else:
                self.processes.own_randomness(training.seed)
            while not self._over():
                leg = next(leg for leg in self.legs if at.done < leg.end)
                if self._end_tasks():
                    self._checkpoint(record)
                    saved = at.done
                epoch, number = divmod(at.done - leg.first, leg.per_epoch)
                for batch in batches(leg.data, training, leg.epochs + epoch, number, self.processes):
                    loss = self._one_step(context, self.runtime.move(batch), record, leg, began)
                    if at.done % training.checkpoint_every == 0:
                        self._checkpoint(record)
                        saved = at.done
                    if first:
                        told = leg.data.told(batch)
                        progress(at.done, self.steps, f"{told}, loss {loss:.4f}" if told else f"loss {loss:.4f}")
                    if self._over() or at.done == leg.end:
                        break
            if self._end_tasks():
                saved = -1
            if saved != at.done:
                self._checkpoint(record)
            if self._best is not None:
                self.pipeline.load_state_dict(self._best)
        finally:
            if record is not None:
                record.close()
        return at

    def _one_step(self, context: Context, batch: Flow, record: Record | None, leg: Leg, began: float) -> float:
        at, number = self.position, self.position.step + 1
        epoch = leg.epochs + (at.done - leg.first) // leg.per_epoch
        if self.restarts:
            self.schedule.steps = leg.steps
        self.schedule.set(at.done - leg.first if self.restarts else at.done)
        context.watching = (at.done + 1) % self.training.diagnose_every == 0 or at.done + 1 == self.steps
        try:
            with blaming("step"):
                terms = self.step.run(context, batch)
            loss = self.processes.agree(total(terms).item())
            numbers = self._judged(at.advance(loss, leg.per_epoch, leg.first), epoch)
            at.seconds = time.perf_counter() - began
            if record is None:
                return loss
            line = {"stage": self.stage, "step": at.step, "epoch": epoch + 1}
            record.step({**line, "loss": loss, "seconds": at.seconds}, terms)
            if at.done % self.training.diagnose_every == 0 or self._over():
                geometry, alarm = diagnose(self.pipeline, self.data, self.training.batch_size)
                if context.watching and context.alignment is not None:
                    numbers["alignment"] = context.alignment
                numbers |= geometry
                if not any(term.rows for term in terms.values()):
                    at.alarms.append(f"Step {at.step}: no row counted in any term; nothing was learned from the batch.")
                if alarm and alarm not in at.alarms:
                    at.alarms.append(alarm)
            if numbers:
                record.diagnostics({**line, **numbers})
        except ContrastError as error:
            raise ContrastError(f"Step {number}: {error}") from error
        return loss

    def _judged(self, epoch_loss: float | None, epoch: int) -> dict[str, float]:
        """See whether it still gets better; the validation score, if it is time for one."""
        at, training = self.position, self.training
        if self.validation is None:
            if epoch_loss is not None:
                at.judge(epoch_loss)
            return {}
        if at.done < self.steps and (epoch_loss is None or (epoch + 1) % training.validate_every):
            return {}
        score = self.processes.agree(self.validation())
        if at.judge(score if training.validate_goal == "min" else -score):
            self._best = {name: tensor.detach().clone() for name, tensor in self.pipeline.state_dict().items()}
        return {"validation": score}

    def _end_tasks(self) -> bool:
        """End the tasks whose last step is done, each once; whether there was one."""
        at, tasks = self.position, [leg.task for leg in self.legs if leg.task is not None]
        ended = sum(leg.end <= at.done for leg in self.legs) if tasks else 0
        if ended <= at.ended:
            return False
        # Checkpoints are made at each border, so that never more than one task has to be ended.
        at.measured.append(end_task(self.composition, tasks, at.ended, self.processes))
        at.ended += 1
        at.epoch_loss = 0.0
        if self.restarts:
            self.optimizer.state.clear()
        return True

    def _over(self) -> bool:
        at, patience = self.position, self.training.patience
        return at.done >= self.steps or (patience is not None and at.stale >= max(1, patience))

    def _kept_sizes(self) -> tuple[int, int] | None:
        if self._resumed:
            metrics, diagnostics = self._resumed["sizes"]
            return metrics, diagnostics
        return (0, 0) if self.position.stage == 0 else None

    def _checkpoint(self, record: Record | None) -> None:
        for name, parameter in self.pipeline.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ContrastError(
                    f"Step {self.position.step}: the parameter {name} became NaN or infinite; training stopped, and "
                    "the last checkpoint is from before."
                )
        generators = self.processes.state()
        if record is None:
            return
        state = {
            **self.position.state(),
            **generators,
            "identity": self.identity,
            "sizes": record.sizes(),
            "threads": torch.get_num_threads(),
            "runtime": self.runtime.state(),
            "pipeline": self.pipeline.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_weights": self._best,
        }
        save_checkpoint(self.folder, state, self.position.step)

    def _restore(self, state: Mapping[str, Any]) -> None:
        try:
            if state["identity"] != self.identity:
                raise ValueError("it was made with other settings; put the recipe back, or start a new run")
            self.processes.check(state)
            self.position = Position.of(state)
            self.pipeline.load_state_dict(state["pipeline"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.runtime.load_state(state["runtime"])
            self._best = state.get("best_weights")
            if self.training.threads is None:
                # Sums depend on how many threads share them.
                torch.set_num_threads(state["threads"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ContrastError(f"The checkpoint in {self.folder} does not fit this recipe: {reason}.") from error
        self._resumed = state
