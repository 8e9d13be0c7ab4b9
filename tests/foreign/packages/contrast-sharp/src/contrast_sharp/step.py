"""Sharpness-aware minimisation."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

import numpy
import torch
from attrs import evolve
from contrast_core.distributed import average_gradients
from contrast_core.interfaces import Flow, Step, Term
from torch import Tensor, nn


@final
class Sam(Step):
    """Update by the gradient at the worst of the near places: w - rate * grad L(w + rho g / |g|), g = grad L(w).

    |g| is the norm over all trained parameters together. Views are drawn once, and encoder, samplers and objectives
    draw the same numbers at both places. Buffers too start the second pass as they started the first, and keep what
    the first made of them: memories and running statistics are those of w, and each step counts once. The terms that
    are logged are those of w; each has a scalar `sharpness`, its value at w + rho g / |g| less that at w.

    Of several processes all climb along the whole batch's gradient, rather than each along its own as in the paper.

    Costs a second forward and backward pass, and a copy of parameters and buffers.

    Args:
        rho: how far to climb, at least 0; with 0 it is the ordinary step.

    Raises:
        ValueError: if rho is negative.

    Paper: Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021,
    arXiv 2010.01412.
    """

    def __init__(self, rho: float = 0.05):
        if not rho >= 0:
            raise ValueError(f"rho = {rho} must be at least 0.")
        self.rho = rho

    def run(self, context: Any, batch: Flow) -> Mapping[str, Term]:
        """Climb, take the gradient there, come back, update."""
        pipeline: nn.Module = context.pipeline
        viewed = context.draw_views(batch)
        before = _buffers(pipeline)
        with _drawn_again():
            here = context.compare(batch, context.encode_views(viewed))
            terms = context.terms(here)
            context.backward(terms)
        after = _buffers(pipeline)
        _restore(pipeline, before)
        with _uphill(pipeline, self.rho):
            there = context.terms(context.compare(batch, context.encode_views(viewed)))
            context.backward(there)
        _restore(pipeline, after)
        context.update(here)
        return {name: _with_sharpness(term, there[name]) for name, term in terms.items()}


def _with_sharpness(term: Term, there: Term) -> Term:
    rise = float(there.value.detach() - term.value.detach())
    return evolve(term, scalars={**term.scalars, "sharpness": rise})


@contextmanager
def _drawn_again() -> Iterator[None]:
    """Put all global generators back at the end, so that what comes next draws the same numbers."""
    ours, theirs = random.getstate(), numpy.random.get_state()
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        yield
    random.setstate(ours)
    numpy.random.set_state(theirs)


@contextmanager
@torch.no_grad()
def _uphill(module: nn.Module, rho: float) -> Iterator[None]:
    """Parameters are w + rho g / |g| inside, and exactly w afterwards."""
    trained = [p for p in module.parameters() if p.requires_grad]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        average_gradients(trained)
    moved = [p for p in trained if p.grad is not None]
    old = [p.detach().clone() for p in moved]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p.grad) for p in moved]))
    for p in moved if norm > 0 and norm.isfinite() else ():
        p.add_(p.grad, alpha=rho / float(norm))
    try:
        with torch.enable_grad():
            yield
    finally:
        for p, value in zip(moved, old, strict=True):
            p.copy_(value)


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


@torch.no_grad()
def _restore(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, buffer in module.named_buffers():
        buffer.copy_(values[name])
