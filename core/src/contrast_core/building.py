"""One component of a recipe after the other: found, its options checked, built."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Union, final, get_args, get_origin

from attrs import frozen

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Data, Encoder, Evaluator, Memory, Objective, PairSampler, Step, View
from contrast_core.recipe import Recipe, Section
from contrast_core.registry import Registry
from contrast_core.schema import REQUIRED, Parameter, check, parameters_of
from contrast_core.similarity import Similarity
from contrast_core.spec import Component
from contrast_core.tasks import Rehearsal, Tasks

INTERFACES: Mapping[type, str] = {
    Data: "data",
    Tasks: "tasks",
    Rehearsal: "rehearsal",
    View: "view",
    Encoder: "encoder",
    Memory: "memory",
    PairSampler: "sampler",
    Objective: "objective",
    Step: "step",
    Evaluator: "evaluator",
    Similarity: "similarity",
}


@frozen(eq=False)
class Built:
    """A component of a recipe and what was made of it."""

    component: Component
    part: Any


@final
class Builder:
    """Builds components of one recipe, and remembers them.

    Args:
        recipe: the recipe; registry: where its names are looked up.
    """

    def __init__(self, recipe: Recipe, registry: Registry):
        self.recipe, self.registry = recipe, registry
        self.labels: dict[int, str] = {}
        """What messages call a part, by its id."""
        self.parts: dict[str, Built] = {}
        """By their place in the recipe."""

    def required(self, kind: str, interface: type) -> Any:
        """The component of a section that has to be there."""
        section = self.recipe.single(kind)
        if section is None:
            raise ContrastError(
                f'{self.recipe.source.file}: a recipe needs a section [{kind}] with use = "domain/name".'
            )
        return self.build(section, interface)

    def optional(self, kind: str, interface: type) -> Any:
        """The component of a section, or None."""
        section = self.recipe.single(kind)
        return None if section is None else self.build(section, interface)

    def build(self, section: Section, interface: type) -> Any:
        """The component of a section.

        Raises:
            ContrastError: for an unknown name, a wrong option, or whatever building it raises, with its place.
        """
        kind = INTERFACES[interface]
        try:
            component = self.registry.component(kind, section.use)
        except ContrastError as error:
            raise ContrastError(f"{section.where('use')}: {error}") from error
        label = f"{section.path} ({component.name})"
        target = self._class(component, interface, section)
        try:
            parameters = parameters_of(target)
        except ContrastError as error:
            raise ContrastError(f"{section.where('use')}: {label}: {error}") from error
        except Exception as error:
            raise ContrastError(f"{section.where('use')}: {label} can't be read: {_named(error)}") from error
        options = check(parameters, section.options, label, section.where, self._special(section))
        try:
            built = target(**options)
        except ImportError as error:
            raise ContrastError(f"{section.where('use')}: {self._missing(component, error)}") from error
        except (ValueError, TypeError, ContrastError) as error:
            raise ContrastError(f"{section.where()}: {label}: {error}") from error
        except Exception as error:
            # Whatever a constructor of somebody else does, the user gets a sentence; the traceback is its cause.
            raise ContrastError(f"{section.where()}: {label} can't be built: {_named(error)}") from error
        if not isinstance(built, interface):
            raise ContrastError(_wrong_kind(component, interface, section))
        self.labels[id(built)] = label
        self.parts[section.path] = Built(component, built)
        return built

    def _class(self, component: Component, interface: type, section: Section) -> Any:
        try:
            target = component.load()
        except ImportError as error:
            raise ContrastError(f"{section.where('use')}: {self._missing(component, error)}") from error
        except ContrastError as error:
            raise ContrastError(f"{section.where('use')}: {error}") from error
        except Exception as error:
            raise ContrastError(f"{section.where('use')}: {component.name} can't be loaded: {_named(error)}") from error
        if not callable(target) or (inspect.isclass(target) and not issubclass(target, interface)):
            raise ContrastError(_wrong_kind(component, interface, section))
        return target

    def _missing(self, component: Component, error: ImportError) -> str:
        owner = self.registry.owner(component)
        needed = " ".join(str(error.name or error).split())
        # An import of a name that a module lacks means another version of that module.
        cure = "upgrade" if isinstance(error, ModuleNotFoundError) else "force-reinstall"
        return f"{component.name} needs {needed}, which can't be imported: pip install --{cure} {owner.label}"

    def _special(self, section: Section) -> Callable[[Any, Any, str], Any]:
        def special(wanted: Any, value: Any, key: str) -> Any:
            """Paths and components, alone or in lists and tables; all else is for the ordinary check."""
            for choice in _choices(wanted):
                if choice is Path and isinstance(value, str):
                    return self._path(section, key, value)
                interface = _interface(choice)
                if interface is not None and isinstance(value, str | dict):
                    return self._nested(section, interface, value, key)
                origin, inner = get_origin(choice), [a for a in get_args(choice) if a is not Ellipsis]
                if not inspect.isclass(origin) or not inner or not _holds_special(inner[-1]):
                    continue
                if issubclass(origin, Mapping) and isinstance(value, dict):
                    return {k: each(inner[-1], v, f"{key}.{k}") for k, v in value.items()}
                if issubclass(origin, Collection) and isinstance(value, list):
                    items = (each(inner[-1], v, f"{key}.{n}") for n, v in enumerate(value, 1))
                    return origin(items) if origin in (list, set, frozenset) else tuple(items)
            return NotImplemented

        def each(wanted: Any, value: Any, key: str) -> Any:
            found = special(wanted, value, key)
            if found is NotImplemented:
                one = {key: Parameter(key, wanted, REQUIRED)}
                found = check(one, {key: value}, f"{section.path} ({section.use})", section.where)[key]
            return found

        return special

    def _nested(self, section: Section, interface: type, value: str | dict[str, Any], key: str) -> Any:
        table = {"use": value} if isinstance(value, str) else value
        if not isinstance(table.get("use"), str):
            place, kind = f"{section.where(key)}: [{section.path}.{key}]", INTERFACES[interface]
            raise ContrastError(f'{place} needs a line use = "domain/name", the name of {_a(kind)}.')
        options = {k: v for k, v in table.items() if k != "use"}
        return self.build(Section(f"{section.path}.{key}", table["use"], options, section.source), interface)

    def _path(self, section: Section, key: str, value: str) -> Path:
        folder, path = self.recipe.folder, f"{section.path}.{key}"
        if section.source.trusts(path):
            found = Path(value).expanduser().absolute()
        elif folder is None:
            found = Path(value).expanduser()
        else:
            found = (folder / value).resolve()
            if not found.is_relative_to(folder):
                raise ContrastError(
                    f"{section.where(key)}: the path '{value}' leaves the recipe's folder; if you trust it, give it "
                    f"yourself: --set {path}={value}"
                )
        self.recipe.remember(path, found)
        return found


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


def _wrong_kind(component: Component, interface: type, section: Section) -> str:
    return (
        f"{section.where('use')}: {component.target} is registered as {_a(component.kind)}, {component.name}, "
        f"but it is no {interface.__name__}."
    )


def _a(kind: str) -> str:
    return kind if kind == "data" else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _interface(wanted: Any) -> type | None:
    return next((i for i in INTERFACES if inspect.isclass(wanted) and issubclass(wanted, i)), None)


def _holds_special(wanted: Any) -> bool:
    """Whether a path or a component is somewhere in a type."""
    return wanted is Path or _interface(wanted) is not None or any(_holds_special(a) for a in get_args(wanted))


def _choices(wanted: Any) -> tuple[Any, ...]:
    return get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
