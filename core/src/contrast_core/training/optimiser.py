"""The optimiser with named parameter groups, and the learning rate's schedule."""

from __future__ import annotations

import math
from fnmatch import fnmatch
from typing import Any

from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR

from contrast_core.errors import ContrastError
from contrast_core.recipe import Training


def optimiser_for(pipeline: nn.Module, training: Training) -> optim.Optimizer:
    """The optimiser over all parameters that require gradients.

    A parameter belongs to the first group with a matching pattern, else to the group "rest".

    Raises:
        ContrastError: if a group's patterns match no parameter, or there is nothing to train.
    """
    left = {name: p for name, p in pipeline.named_parameters() if p.requires_grad}
    if not left:
        raise ContrastError("No part of this recipe has parameters to train.")
    groups: list[dict[str, Any]] = []
    for title, group in training.groups.items():
        taken = {
            name: p for name, p in left.items() if any(fnmatch(name, pattern) for pattern in group.parameters)
        }
        if not taken:
            have = ", ".join(sorted({name.partition(".")[0] + ".*" for name in left}))
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


def schedule_for(optimizer: optim.Optimizer, training: Training, steps: int) -> LambdaLR:
    """Linear rise over `warmup_steps`, then constant or a half cosine to zero at the last step."""

    def factor(step: int) -> float:
        if step < training.warmup_steps:
            return (step + 1) / training.warmup_steps
        if training.schedule == "constant":
            return 1.0
        progress = (step - training.warmup_steps) / max(1, steps - training.warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, factor)
