"""Second derivatives of hand-written functions: where a graph of the gradient is asked for, plain autograd makes it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def differentiable_gradients(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], upstream: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients of the dense `function` at `inputs`, as a graph that can be differentiated again.

    A recomputing backward pass has no derivative of its own, and to return one that silently lacks a part would be
    wrong; so `create_graph=True` costs the memory of the dense way, and is exact.
    """
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    with torch.enable_grad(), torch.autocast(upstream.device.type, enabled=False):
        found = iter(torch.autograd.grad(function(*inputs), wanted, upstream, create_graph=True))
    return tuple(next(found) if tensor.requires_grad else None for tensor in inputs)
