"""What a training step may do: compute outputs and terms, send gradients back, update parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch.optim import Optimizer

from contrast_core import pairwise
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Flow, Outputs, Term
from contrast_core.pipeline import Pipeline, total
from contrast_core.training.optimiser import Schedule
from contrast_core.training.runtime import Runtime


class Context:
    """A step's hands: the pipeline, the optimiser and the device, behind a few verbs.

    Args:
        pipeline: the parts that are trained.
        optimizer: its parameter groups have names, see `[training.groups]`; "rest" holds the others.
        schedule: the learning rate's schedule; the training loop sets it before every step.
        runtime: device and precision.
        clip_norm: largest gradient norm, or None.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        optimizer: Optimizer,
        schedule: Schedule,
        runtime: Runtime,
        clip_norm: float | None,
    ):
        self.pipeline, self.optimizer, self.schedule = pipeline, optimizer, schedule
        self.runtime, self.clip_norm = runtime, clip_norm
        self.watching = False
        """Whether `update` shall measure the alignment of the step's pairs."""
        self.alignment: float | None = None
        """Mean squared distance of the positive pairs of the last watched step, unit rows."""

    def outputs(self, batch: Flow) -> Outputs:
        """From a batch (of several processes: this one's share of it) to tables and pairs, in the run's precision."""
        return self.compare(batch, self.encode(batch))

    def encode(self, batch: Flow) -> Flow:
        """The flow of some items after the encoder, in the run's precision; see `Pipeline.encode`."""
        with self.runtime.autocast():
            return self.pipeline.encode(batch)

    def draw_views(self, batch: Flow) -> Flow:
        """The flow of some items after the views, for a step that encodes the same views several times."""
        with self.runtime.autocast():
            return self.pipeline.draw_views(batch)

    def encode_views(self, viewed: Flow) -> Flow:
        """The flow after the encoder, from that after the views."""
        with self.runtime.autocast():
            return self.pipeline.encode_views(viewed)

    def compare(self, batch: Flow, encoded: Flow) -> Outputs:
        """Tables and pairs of the whole batch from what this process encoded of it; see `Pipeline.compare`."""
        processes = self.runtime.processes
        with self.runtime.autocast(), processes.alike():
            pipeline = self.pipeline
            flow = processes.whole({**batch, **encoded}, pipeline.read_after_encoding(), set(pipeline.encoder.shared))
            outputs: Outputs = self.pipeline.compare({name: flow[name] for name in batch}, flow)
        return outputs

    def terms(self, outputs: Outputs, only: Collection[str] = ()) -> dict[str, Term]:
        """The loss terms, of all objectives or of the named ones; see `Pipeline.terms`."""
        with self.runtime.processes.alike():
            return self.pipeline.terms(outputs, only)

    def backward(self, terms: Mapping[str, Term]) -> None:
        """Gradients of the weighted sum of the terms, replacing earlier ones.

        Raises:
            ContrastError: if no term depends on a parameter.
        """
        loss = total(terms)
        if not loss.requires_grad:
            raise ContrastError(
                f"No loss term ({', '.join(terms)}) depends on a parameter that is trained: nothing can be learned."
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.runtime.backward(loss)

    def update(self, outputs: Outputs, only: Collection[str] = ()) -> None:
        """One optimiser step (of the named parameter groups alone, if any are named), then what follows an update.

        The gradients of the other groups stay, for another update.

        Raises:
            ContrastError: if a named group does not exist, or the gradient is not finite (seen with `clip_norm` only).
        """
        if self.watching:
            self.alignment = alignment_of(outputs)
        names = {only} if isinstance(only, str) else set(only)
        groups = self.optimizer.param_groups
        if unknown := names - {group["name"] for group in groups}:
            have = ", ".join(group["name"] for group in groups)
            raise ContrastError(
                f"The step updates the group '{min(unknown)}', which is none of [training.groups]: there are {have}."
            )
        waiting = [p for group in groups if names and group["name"] not in names for p in group["params"]]
        kept = [parameter.grad for parameter in waiting]
        for parameter in waiting:
            parameter.grad = None
        processes = self.runtime.processes
        processes.average_gradients(p for group in groups for p in group["params"])
        processes.average_buffers([*self.pipeline.views.values(), self.pipeline.encoder])
        if self.clip_norm is not None:
            self.runtime.clip((p for group in groups for p in group["params"]), self.clip_norm)
        self.optimizer.step()
        for parameter, gradient in zip(waiting, kept, strict=True):
            parameter.grad = gradient
        with torch.no_grad(), processes.alike():
            self.pipeline.after_update(outputs)


@torch.no_grad()
def alignment_of(outputs: Outputs) -> float | None:
    """mean_i (2 - 2 mean_p cos(z_i, z_p)) over the anchors of the first pairs that have positives; None without any."""
    pairs = next(iter(outputs.pairs.values()), None)
    if pairs is None or any("z" not in table or table.z.dim() != 2 for table in (pairs.anchors, pairs.candidates)):
        return None
    cosines, weight = pairwise.weighted_sum(pairs, pairs.positives)
    counted = weight > 0
    return float((2 - 2 * cosines[counted] / weight[counted]).mean()) if counted.any() else None
