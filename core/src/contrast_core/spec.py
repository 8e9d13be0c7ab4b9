"""What a plugin's manifest says: specs of components and recipes. Never torch, nor anything else that is slow.

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

from contrast_core.errors import ContrastError

API = 1
"""Number of the contract between the core and its plugins; it changes only when old plugins would break."""

KINDS = (
    "data", "tasks", "rehearsal", "view", "encoder", "memory", "sampler", "objective", "step", "evaluator",
    "similarity",
)  # fmt: skip
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
        """Import and return the class; imports whatever the class needs.

        Raises:
            ContrastError: if the module has no such class; and whatever importing the module raises.
        """
        name, _, attribute = self.target.partition(":")
        module = import_module(name)
        if not hasattr(module, attribute):
            raise ContrastError(f"{name} has no '{attribute}', which {self.name} names as its class.")
        return getattr(module, attribute)


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
        """The file's place on disk, found without importing the package's submodules.

        Raises:
            ContrastError: if the package or the file is not there.
        """
        try:
            spec = find_spec(self.package)
        except (ImportError, ValueError):
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise ContrastError(f"The package {self.package} of the recipe {self.name} can't be found.")
        for folder in spec.submodule_search_locations:
            if (path := Path(folder, self.path)).is_file():
                return path
        raise ContrastError(
            f"The recipe {self.name} is missing: {self.package} has no file {self.path}; reinstall its distribution."
        )


@dataclass(frozen=True, slots=True)
class Package:
    """What the specs of one package have in common; they are named by what is their own.

    Args:
        domain: what names begin with, `domain/some-name`.
        module: the package that targets and recipes are in.
        paper: of a component or recipe that names none.
    """

    domain: str
    module: str
    paper: str = ""

    def component(self, kind: str, name: str, target: str, summary: str, paper: str | None = None) -> Component:
        """A component `domain/name`, whose target is given below the module."""
        published = self.paper if paper is None else paper
        return Component(kind, f"{self.domain}/{name}", f"{self.module}.{target}", summary, published)

    def recipe(self, name: str, summary: str, paper: str | None = None) -> RecipeFile:
        """The recipe `domain/name` in the module's `recipes/name.toml`."""
        published = self.paper if paper is None else paper
        return RecipeFile(f"{self.domain}/{name}", self.module, f"recipes/{name}.toml", summary, published)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything one plugin registers, and the number of the contract it was written for."""

    api: int
    components: Sequence[Component] = field(default=())
    recipes: Sequence[RecipeFile] = field(default=())

    def __post_init__(self) -> None:
        if not isinstance(self.api, int):
            raise ValueError(f"The api of a manifest is a whole number, {API} for this core, not {self.api!r}.")
        for name, kind in (("components", Component), ("recipes", RecipeFile)):
            specs = tuple(getattr(self, name))
            wrong = next((spec for spec in specs if not isinstance(spec, kind)), None)
            if wrong is not None:
                raise ValueError(f"The {name} of a manifest are {kind.__name__}s, not {wrong!r}.")
            object.__setattr__(self, name, specs)
