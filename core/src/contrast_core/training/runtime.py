"""Device and precision. Plain torch in float32; Accelerate, imported only then, for mixed precision."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Flow
from contrast_core.plan import Training
from contrast_core.training.processes import Alone, processes


class Runtime:
    """Float32."""

    def __init__(self, device: str = "cpu", processes: Alone | None = None):
        self.device = _own_device(device)
        self.processes = processes or Alone()

    def prepare(self, module: nn.Module, optimizer: Optimizer) -> Optimizer:
        """Put module and optimiser where they run."""
        module.to(self.device)
        return optimizer

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the forward pass."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Gradients, scaled as the precision asks."""
        loss.backward()

    def clip(self, parameters: Iterable[Tensor], norm: float) -> None:
        """Shorten the gradient to a norm.

        Raises:
            ContrastError: if it is NaN or infinite.
        """
        found = torch.nn.utils.clip_grad_norm_(parameters, norm)
        if not torch.isfinite(found):
            raise ContrastError(f"The gradient's norm became {found.item()}; training stopped.")

    def move(self, batch: Flow) -> Flow:
        """A batch on the device."""
        return moved(batch, self.device)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to remember."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put `state` back."""


class Accelerated(Runtime):
    """The same through Accelerate: mixed precision."""

    def __init__(self, training: Training, device: str, processes: Alone | None = None):
        super().__init__(device, processes)
        self.accelerator = _accelerator(training, device)
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

    def clip(self, parameters: Iterable[Tensor], norm: float) -> None:
        """The same on unscaled gradients; with fp16 the scaler itself leaves out a step that is not finite."""
        if self.accelerator.scaler is None:
            super().clip(parameters, norm)
        else:
            self.accelerator.clip_grad_norm_(parameters, norm)

    def state(self) -> dict[str, Any]:
        """The state of the loss scaler, if there is one."""
        scaler = self.accelerator.scaler
        return {} if scaler is None else {"scaler": scaler.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put the loss scaler's state back."""
        if "scaler" in state and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])


def moved(batch: Flow, device: torch.device) -> Flow:
    """A batch with everything that can move on a device."""
    if device.type == "cpu":
        return batch
    return {name: value.to(device) if hasattr(value, "to") else value for name, value in batch.items()}


def device_for(training: Training) -> str:
    """The kind of device a training plan asks for, once everything it needs is known to be there.

    Raises:
        ContrastError: if the device is unknown or absent, or Accelerate is missing.
    """
    device = training.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda", "mps"):
        raise ContrastError(f"[training] device must be 'auto', 'cpu', 'cuda' or 'mps', not '{device}'.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ContrastError("[training] device is 'cuda', but torch finds no CUDA device here.")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ContrastError("[training] device is 'mps', but torch finds no Apple GPU here.")
    if training.precision == "fp16" and device != "cuda":
        raise ContrastError(f"[training] precision 'fp16' needs a CUDA device; on '{device}' use 'bf16' or 'float32'.")
    if training.precision != "float32" and find_spec("accelerate") is None:
        raise ContrastError(
            f"[training] device '{device}' with precision '{training.precision}' needs Accelerate: "
            "pip install contrast-core[accelerate]"
        )
    return device


def runtime_for(training: Training, together: bool = False, whole: bool = False) -> Runtime:
    """The runtime a training plan asks for; raises like `device_for`.

    Args:
        training: the plan.
        together: whether to join the processes that torchrun started, if it did.
        whole: whether a batch is always the whole data set.
    """
    device = device_for(training)
    joined = processes("nccl" if device == "cuda" else "gloo", whole) if together else Alone()
    return Runtime(device, joined) if training.precision == "float32" else Accelerated(training, device, joined)


def _own_device(device: str) -> torch.device:
    """Of several GPUs, the one that torchrun gave to this process."""
    if device != "cuda" or "LOCAL_RANK" not in os.environ:
        return torch.device(device)
    own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(own)
    return own


def _accelerator(training: Training, device: str) -> Any:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    settings = {"mixed_precision": training.precision.replace("float32", "no"), "cpu": device == "cpu"}
    try:
        return Accelerator(**settings)
    except ValueError:
        # Its settings belong to the process; the run or stage before had others.
        AcceleratorState._reset_state(reset_partial_state=True)
        return Accelerator(**settings)
