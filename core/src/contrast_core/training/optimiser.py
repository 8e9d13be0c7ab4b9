"""The optimiser with named parameter groups, and the learning rate's schedule."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import Any, final

from torch import nn, optim

from contrast_core.errors import ContrastError
from contrast_core.plan import Training

_SECTIONS = {
    "views": "view",
    "late_views": "view",
    "memories": "memory",
    "samplers": "sampler",
    "objectives": "objective",
}


def optimiser_for(pipeline: nn.Module, training: Training) -> optim.Optimizer:
    """The optimiser over all parameters that require gradients.

    A parameter's name is the path of its part in the recipe and its name there: `encoder.layers.0.weight`,
    `sampler.nodes.network.rows.weight`. It belongs to the first group with a matching pattern, else to "rest".

    Raises:
        ContrastError: if a group's patterns match no parameter, or there is nothing to train.
    """
    left = {_in_recipe(name): p for name, p in pipeline.named_parameters() if p.requires_grad}
    if not left:
        raise ContrastError("No part of this recipe has parameters to train.")
    groups: list[dict[str, Any]] = []
    for title, group in training.groups.items():
        taken = {name: p for name, p in left.items() if any(fnmatchcase(name, each) for each in group.parameters)}
        if not taken:
            have = ", ".join(sorted({f"{_part(name)}.*" for name in left})) or "none left by the groups before it"
            raise ContrastError(
                f"[training.groups.{title}] matches no parameter: {', '.join(group.parameters)}; there are {have}."
            )
        settings = {"lr": group.learning_rate, "weight_decay": group.weight_decay}
        given = {key: value for key, value in settings.items() if value is not None}
        groups.append({"name": title, "params": list(taken.values()), **given})
        left = {name: p for name, p in left.items() if name not in taken}
    if left:
        groups.append({"name": "rest", "params": list(left.values())})
    common: dict[str, Any] = {"lr": training.learning_rate, "weight_decay": training.weight_decay}
    if training.optimizer == "sgd":
        return optim.SGD(groups, momentum=training.momentum, **common)
    return (optim.AdamW if training.optimizer == "adamw" else optim.Adam)(groups, **common)


@final
class Schedule:
    """Sets the learning rates of a step from its number alone, so that there is no state to lose.

    Linear rise over `warmup_steps`, then constant, or a half cosine or a straight line to zero after the last step. One
    step is one batch, however many updates it makes.
    """

    def __init__(self, optimizer: optim.Optimizer, training: Training, steps: int):
        self.optimizer, self.training, self.steps = optimizer, training, steps
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]

    def factor(self, step: int) -> float:
        """The factor of all learning rates in the step of that number, counted from 0."""
        warmup = self.training.warmup_steps
        if step < warmup:
            return (step + 1) / warmup
        if self.training.schedule == "constant":
            return 1.0
        progress = min(1.0, (step - warmup) / max(1, self.steps - warmup))
        return 1.0 - progress if self.training.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))

    def set(self, step: int) -> None:
        """Give every group its learning rate of that step."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.factor(step)


def _in_recipe(name: str) -> str:
    first, dot, rest = name.partition(".")
    return _SECTIONS.get(first, first) + dot + rest


def _part(name: str) -> str:
    first, *rest = name.split(".")
    return f"{first}.{rest[0]}" if first in _SECTIONS.values() and rest else first
