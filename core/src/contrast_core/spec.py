"""What a plugin's manifest says: specs of components and recipes. Standard library only, never torch.

A manifest is the module that a distribution's entry point in group `contrast` names. It defines one function::

    from contrast_core.spec import Component, Manifest, RecipeFile

    def contrast_manifest() -> Manifest:
        return Manifest(
            api=1,
            components=[
                Component("objective", "mine/triplet", "contrast_mine.objectives:Triplet", "Triplet margin loss."),
            ],
            recipes=[RecipeFile("mine/tabular", "contrast_mine", "recipes/tabular.toml", "Triplets on a table.")],
        )
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

API = 1
"""Number of the contract between the core and its plugins; it changes only when old plugins would break."""

KINDS = ("data", "view", "encoder", "memory", "sampler", "objective", "step", "evaluator", "similarity")
"""The kinds of component, in the order in which a run meets them."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"The name '{name}' must read 'domain/some-name', in lower case.")


@dataclass(frozen=True, slots=True)
class Component:
    """One registered component.

    Args:
        kind: one of `KINDS`.
        name: `domain/some-name`, lower case; users may leave the domain out while the rest is unique.
        target: `module:Class`; the module is imported only when the component is used.
        summary: one line for listings.
        paper: where it was published, if anywhere.
    """

    kind: str
    name: str
    target: str
    summary: str
    paper: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"'{self.kind}' is no kind of component; the kinds are {', '.join(KINDS)}.")
        _check_name(self.name)
        if not _TARGET.fullmatch(self.target):
            raise ValueError(f"The target '{self.target}' of {self.name} must read 'package.module:Class'.")

    def load(self) -> Any:
        """Import and return the class; imports whatever the class needs."""
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """One recipe that a package ships: `path` is relative to the folder of `package`."""

    name: str
    package: str
    path: str
    summary: str
    paper: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name)

    def locate(self) -> Path:
        """The file's place on disk, found without importing the package's submodules."""
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(f"The package {self.package} of recipe {self.name} cannot be found.")
        return Path(next(iter(spec.submodule_search_locations))) / self.path


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything one plugin registers, and the number of the contract it was written for."""

    api: int
    components: Sequence[Component] = field(default=())
    recipes: Sequence[RecipeFile] = field(default=())
