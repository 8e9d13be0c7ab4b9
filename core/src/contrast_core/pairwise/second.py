"""Second derivatives of hand-written functions: where a graph of the gradient is asked for, plain autograd makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def differentiable_gradients(
    function: Callable[..., Tensor | Sequence[Tensor | None]],
    inputs: tuple[Tensor, ...],
    upstream: Tensor | Sequence[Tensor | None],
) -> tuple[Tensor | None, ...]:
    """The gradients of the dense `function` at `inputs`, as a graph that can be differentiated again.

    A recomputing backward pass has no derivative of its own, and to return one that silently lacks a part would be
    wrong; so `create_graph=True` costs the memory of the dense way, and is exact.
    """
    given = [upstream] if isinstance(upstream, Tensor) else upstream
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    with torch.enable_grad(), torch.autocast(inputs[0].device.type, enabled=False):
        values = function(*inputs)
        results = [values] if isinstance(values, Tensor) else values
        both = [(y, g) for y, g in zip(results, given, strict=True) if y is not None and g is not None]
        outputs, gradients = zip(*both, strict=True)
        found = iter(torch.autograd.grad(outputs, wanted, gradients, create_graph=True))
    return tuple(next(found) if tensor.requires_grad else None for tensor in inputs)
