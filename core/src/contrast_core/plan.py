"""The training plan: what a recipe's section [training] may say. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import field, frozen

from contrast_core.errors import ContrastError


class TrainingError(ContrastError):
    """A number of the training plan that can't be, and its key."""

    def __init__(self, key: str, sentence: str):
        super().__init__(sentence)
        self.key = key


def _at_least(bound: float) -> tuple[Callable[[float], bool], str]:
    return (lambda value: value >= bound), f"at least {bound}"


_BOUNDS: Mapping[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(("epochs", "steps", "batch_size", "checkpoint_every", "diagnose_every"), _at_least(1)),
    "validate_every": _at_least(1),
    **dict.fromkeys(("patience", "threads"), _at_least(1)),
    **dict.fromkeys(("learning_rate", "weight_decay", "warmup_steps", "workers"), _at_least(0)),
    # numpy and torch share no larger range of seeds.
    "seed": (lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
    "momentum": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    "clip_norm": (lambda value: value > 0, "more than 0"),
}


def _check_bounds(plan: Any) -> None:
    for key, (fits, words) in _BOUNDS.items():
        value = getattr(plan, key, None)
        if value is not None and not fits(value):
            raise TrainingError(key, f"[training] {key} must be {words}, not {value}.")


@frozen
class Group:
    """Optimiser settings for the parameters whose names match one of the patterns, e.g. `sampler.*`."""

    parameters: list[str]
    learning_rate: float | None = None
    weight_decay: float | None = None

    def __attrs_post_init__(self) -> None:
        _check_bounds(self)


@frozen
class Training:
    """The training plan.

    Args:
        epochs: passes over the data; steps: stop after that many optimiser steps, if given.
        batch_size: items a step (a data set that is one whole, like a graph, ignores it).
        optimizer, learning_rate, weight_decay, momentum (of SGD): as in torch.optim.
        schedule: "constant", or "cosine" or "linear" to zero; warmup_steps: linear rise before it.
        clip_norm: largest gradient norm, if given.
        patience: stop when the loss has not fallen for that many epochs, or the validation score not improved that many
            times, if given.
        validate: "EVALUATOR/METRIC", the name of an [evaluation.NAME] and of one of its metrics, to be measured on the
            validation items after every `validate_every` epochs. The weights of the best time are kept at the end;
            validate_goal: whether that is the largest or the smallest score.
        seed: of everything random.
        device: "auto" takes a GPU if there is one; precision: "float32", "bf16" or "fp16" (mixed).
        threads: CPU threads, by default torch's choice; workers: loader processes.
        checkpoint_every, diagnose_every: in steps.
        tensorboard: "auto" writes event files where tensorboard is installed.
        groups: optimiser settings for some of the parameters, by name of the group.
    """

    epochs: int = 10
    steps: int | None = None
    batch_size: int = 256
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: int = 0
    clip_norm: float | None = None
    patience: int | None = None
    validate: str | None = None
    validate_every: int = 1
    validate_goal: Literal["max", "min"] = "max"
    seed: int = 0
    device: str = "auto"
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    threads: int | None = None
    workers: int = 0
    checkpoint_every: int = 50
    diagnose_every: int = 10
    tensorboard: Literal["auto", "on", "off"] = "auto"
    groups: Mapping[str, Group] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        _check_bounds(self)
