"""What a training step may do: compute outputs and terms, send gradients back, update parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from contrast_core.interfaces import Flow, Outputs, Term
from contrast_core.pipeline import Pipeline, total
from contrast_core.training.runtime import Runtime


class Context:
    """A step's hands: the pipeline, the optimiser and the device, behind five verbs.

    Args:
        pipeline: the parts that are trained.
        optimizer: its parameter groups have names, see `[training.groups]`; "rest" holds the others.
        schedule: the learning rate's schedule.
        runtime: device and precision.
        clip_norm: largest gradient norm, or None.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        optimizer: Optimizer,
        schedule: LRScheduler,
        runtime: Runtime,
        clip_norm: float | None,
    ):
        self.pipeline, self.optimizer, self.schedule = pipeline, optimizer, schedule
        self.runtime, self.clip_norm = runtime, clip_norm

    def outputs(self, batch: Flow) -> Outputs:
        """From a batch to tables and pairs, in the run's precision."""
        with self.runtime.autocast():
            outputs: Outputs = self.pipeline(batch)
        return outputs

    def terms(self, outputs: Outputs) -> dict[str, Term]:
        """The loss terms; raises ContrastError naming a term that is not finite."""
        return self.pipeline.terms(outputs)

    def backward(self, terms: Mapping[str, Term]) -> None:
        """Gradients of the weighted sum of the terms, replacing earlier ones."""
        self.optimizer.zero_grad(set_to_none=True)
        self.runtime.backward(total(terms))

    def update(self, outputs: Outputs, only: Collection[str] = ()) -> None:
        """One optimiser step (of the named parameter groups alone, if any are named), then what follows an update."""
        for group in self.optimizer.param_groups:
            if only and group["name"] not in only:
                for parameter in group["params"]:
                    parameter.grad = None
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.pipeline.parameters(), self.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            self.pipeline.after_update(outputs)
