"""Device, precision and processes. Plain torch on one CPU; Accelerate, imported only then, for everything else."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Flow
from contrast_core.recipe import Training


class Runtime:
    """One process in float32 on the CPU."""

    device = torch.device("cpu")

    def prepare(self, module: nn.Module, optimizer: Optimizer) -> Optimizer:
        """Put module and optimiser where they run."""
        module.to(self.device)
        return optimizer

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the forward pass."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Gradients, scaled and unscaled as the precision asks."""
        loss.backward()

    def move(self, batch: Flow) -> Flow:
        """A batch on the device."""
        if self.device.type == "cpu":
            return batch
        return {
            name: value.to(self.device) if hasattr(value, "to") else value for name, value in batch.items()
        }


class Accelerated(Runtime):
    """The same through Accelerate: GPUs and mixed precision."""

    def __init__(self, training: Training, device: str):
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise ContrastError(
                f"device '{device}' with precision '{training.precision}' needs Accelerate: "
                "pip install contrast-core[accelerate]"
            ) from error
        mixed = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}[training.precision]
        self.accelerator = Accelerator(mixed_precision=mixed, cpu=device == "cpu")
        self.device = self.accelerator.device

    def prepare(self, module: nn.Module, optimizer: Optimizer) -> Optimizer:
        """Accelerate wraps the optimiser; the module keeps its own interface."""
        module.to(self.device)
        prepared: Optimizer = self.accelerator.prepare(optimizer)
        return prepared

    def autocast(self) -> AbstractContextManager[Any]:
        """Accelerate's autocast."""
        context: AbstractContextManager[Any] = self.accelerator.autocast()
        return context

    def backward(self, loss: Tensor) -> None:
        """Accelerate's backward, with loss scaling for fp16."""
        self.accelerator.backward(loss)


def runtime_for(training: Training) -> Runtime:
    """The runtime a training plan asks for.

    Raises:
        ContrastError: if the device is unknown or absent, Accelerate is missing, or several processes were started.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ContrastError(
            "This version trains in one process; start it without torchrun or accelerate launch."
        )
    device = training.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda", "mps"):
        raise ContrastError(f"[training] device must be 'auto', 'cpu', 'cuda' or 'mps', not '{device}'.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ContrastError("[training] device is 'cuda', but torch finds no CUDA device here.")
    return Runtime() if device == "cpu" and training.precision == "float32" else Accelerated(training, device)
