"""Which classes of pytorch-metric-learning there are, made from a recipe's words."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isclass
from typing import Any

from torch import nn

from contrast_core.adapters.named import imported, made

NOT_HERE = {
    "CrossBatchMemory": "its queue is not saved with a run; let core/queue remember rows and a sampler pair them",
    "DynamicSoftMarginLoss": "its histogram is not saved with a run, which could not be resumed exactly",
    "ManifoldLoss": "it takes neither labels nor pairs",
    "MultipleLosses": "give each loss a section [objective.NAME] of its own",
    "SelfSupervisedLoss": "name the loss that it wraps, and let core/two-views make the pairs",
    "VICRegLoss": "it compares two tables; core/vicreg does that",
}
MODULES = {
    "distance": "distances",
    "reducer": "reducers",
    "embedding_regularizer": "regularizers",
    "weight_regularizer": "regularizers",
}
"""Arguments that are objects of the library, and the modules of their classes."""


def part(module: str, name: str, arguments: Mapping[str, Any]) -> Any:
    """An object of the library.

    Args:
        module: "losses", "miners", "distances", "reducers" or "regularizers".
        name: the class.
        arguments: of its constructor; those in `MODULES` may be words, and are made first.

    Raises:
        ContrastError: if the library is not installed.
        ValueError: for an unknown class or argument, or a loss that can't be used here.
    """
    if name in NOT_HERE:
        raise ValueError(f"{name} can't be used here: {NOT_HERE[name]}.")
    found = imported("core/metric-learning", "pytorch-metric-learning", f"pytorch_metric_learning.{module}")
    classes = {key: value for key, value in vars(found).items() if isclass(value) and _usable(key, value)}
    given = {key: _said(MODULES[key], value) if key in MODULES else value for key, value in arguments.items()}
    kind = "loss" if module == "losses" else module.removesuffix("s")
    return made(f"{kind} of pytorch-metric-learning", name, classes, given)


def _said(module: str, value: Any) -> Any:
    """What is written as a name, or as a table with the name as `use`; an object is taken as it is."""
    if isinstance(value, str):
        return part(module, value, {})
    if not isinstance(value, Mapping):
        return value
    if not isinstance(value.get("use"), str):
        raise ValueError(f"The table {dict(value)} must name one of pytorch-metric-learning's {module} by 'use'.")
    return part(module, value["use"], {key: each for key, each in value.items() if key != "use"})


def _usable(name: str, found: type) -> bool:
    general = name.startswith(("Base", "Generic")) or name.endswith("Mixin")
    return issubclass(found, nn.Module) and not general and name not in NOT_HERE
