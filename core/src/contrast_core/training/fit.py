"""The training loop: one stage of a run, from its beginning or from a checkpoint, to bit-equal losses."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from contrast_core.compose import Composition
from contrast_core.diagnostics.geometry import collapsed, summary
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data
from contrast_core.pipeline import Pipeline, total
from contrast_core.training.checkpoint import random_state, save_checkpoint, set_random_state
from contrast_core.training.context import Context
from contrast_core.training.loader import batches, batches_per_epoch
from contrast_core.training.optimiser import optimiser_for, schedule_for
from contrast_core.training.record import Record
from contrast_core.training.runtime import runtime_for

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, a short text) after each step."""


def fit(
    composition: Composition,
    folder: Path,
    *,
    stage: str = "",
    stage_number: int = 0,
    first_step: int = 0,
    resume: dict[str, Any] | None = None,
    progress: Progress = lambda *_: None,
) -> tuple[int, list[str]]:
    """Train a prepared pipeline; returns the number of the last step and the alarms that were raised.

    Args:
        composition: data loaded, pipeline prepared.
        folder: the run folder; metrics, diagnostics and checkpoints are written there.
        stage, stage_number, first_step: which stage this is and how many steps the ones before took.
        resume: a checkpoint of this stage to go on from.
        progress: told of every step.

    Raises:
        ContrastError: if a term is not finite or the checkpoint does not fit the recipe.
    """
    training, pipeline, data = composition.training, composition.pipeline, composition.data
    runtime = runtime_for(training)
    pipeline.to(runtime.device)
    per_epoch = batches_per_epoch(data, training)
    if per_epoch < 1:
        raise ContrastError(f"The data set has {len(data)} item(s): too few to compare anything.")
    steps = (
        per_epoch * training.epochs
        if training.steps is None
        else min(training.steps, per_epoch * training.epochs)
    )
    optimizer = runtime.prepare(pipeline, optimiser_for(pipeline, training))
    schedule = schedule_for(optimizer, training, steps)
    context = Context(pipeline, optimizer, schedule, runtime, training.clip_norm)
    done, best, stale = 0, float("inf"), 0
    alarms: list[str] = []
    upto = (0, 0) if first_step == 0 else _sizes(folder)
    if resume:
        _restore(resume, pipeline, optimizer, schedule)
        done, best, stale, alarms = resume["done"], resume["best"], resume["stale"], resume["alarms"]
        upto = tuple(resume["sizes"])
        # Wrapped by neither random calls nor construction below: the state must be the very last thing set.
        set_random_state(resume["random"])
    record = Record(folder, training.tensorboard, upto)
    start = time.perf_counter() - (resume["seconds"] if resume else 0.0)
    epoch_loss = resume["epoch_loss"] if resume else 0.0

    def checkpoint() -> None:
        state = {
            "stage": stage_number, "first_step": first_step, "done": done, "best": best, "stale": stale, "alarms": alarms,
            "epoch_loss": epoch_loss, "sizes": record.sizes(), "seconds": time.perf_counter() - start,
            "pipeline": pipeline.state_dict(), "optimizer": optimizer.state_dict(),
            "schedule": {"last_epoch": schedule.last_epoch}, "random": random_state(),
        }  # fmt: skip
        save_checkpoint(folder, state, first_step + done)

    try:
        pipeline.train()
        while done < steps and (training.patience is None or stale < training.patience):
            epoch, position = divmod(done, per_epoch)
            for batch in batches(data, training, epoch, position):
                terms = composition.step.run(context, runtime.move(batch))
                loss = total(terms).item()
                done += 1
                epoch_loss += loss / per_epoch
                at = {"stage": stage, "step": first_step + done, "epoch": epoch + 1}
                record.step({**at, "loss": loss, "seconds": time.perf_counter() - start}, terms)
                if done % training.diagnose_every == 0 or done == steps:
                    numbers, alarm = _diagnose(pipeline, data, runtime)
                    record.diagnostics({**at, **numbers})
                    if alarm and alarm not in alarms:
                        alarms.append(alarm)
                if done % per_epoch == 0:
                    stale = 0 if epoch_loss < best else stale + 1
                    best, epoch_loss = min(best, epoch_loss), 0.0
                if done % training.checkpoint_every == 0:
                    checkpoint()
                progress(done, steps, f"loss {loss:.4f}")
                if done >= steps:
                    break
        checkpoint()
    except KeyboardInterrupt:
        # A step may be half done: the last checkpoint on disk is the truth.
        raise
    finally:
        record.close()
    return first_step + done, alarms


def embed_all(pipeline: Pipeline, data: Data, batch_size: int, device: torch.device) -> Embeddings:
    """The embedding of every item in order, in evaluation mode, with columns sample and label (if there are any)."""
    was_training = pipeline.training
    pipeline.eval()
    parts: list[torch.Tensor] = []
    with torch.no_grad():
        if data.whole:
            parts.append(pipeline.embed(data.batch(torch.arange(len(data)))).z)
        else:
            for items in torch.arange(len(data)).split(batch_size):
                batch = {k: v.to(device) if hasattr(v, "to") else v for k, v in data.batch(items).items()}
                parts.append(pipeline.embed(batch).z)
    pipeline.train(was_training)
    z = torch.cat(parts).float().cpu()
    table = Embeddings.of(z, sample=torch.arange(len(z)))
    labels = data.labels
    return table if labels is None else table.with_columns(label=labels)


def _diagnose(pipeline: Pipeline, data: Data, runtime: Any) -> tuple[dict[str, float], str]:
    """The geometry of at most 2,000 items' embedding; leaves every random generator as it was."""
    kept = random_state()
    generator = torch.Generator().manual_seed(0)
    items = torch.randperm(len(data), generator=generator)[:2000]
    was_training = pipeline.training
    pipeline.eval()
    with torch.no_grad():
        if data.whole:
            z = pipeline.embed(runtime.move(data.batch(torch.arange(len(data))))).z[items.to(runtime.device)]
        else:
            z = pipeline.embed(runtime.move(data.batch(items))).z
    pipeline.train(was_training)
    labels = data.labels
    z = z.float().cpu()
    numbers = summary(z, None if labels is None else labels[items], generator=generator)
    set_random_state(kept)
    return numbers, collapsed(numbers)


def _restore(state: dict[str, Any], pipeline: Pipeline, optimizer: Any, schedule: Any) -> None:
    try:
        pipeline.load_state_dict(state["pipeline"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ContrastError(f"The checkpoint does not fit this recipe: {reason}") from error
    schedule.last_epoch = state["schedule"]["last_epoch"]


def _sizes(folder: Path) -> tuple[int, int]:
    metrics, diagnostics = ((folder / name).stat().st_size for name in ("metrics.jsonl", "diagnostics.jsonl"))
    return metrics, diagnostics
