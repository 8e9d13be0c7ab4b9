"""Another library's classes by name: found, given their arguments, or refused in one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from torch import nn

from contrast_core.errors import ContrastError, did_you_mean


def imported(component: str, distribution: str, module: str) -> ModuleType:
    """A module of a library that may be missing.

    Raises:
        ContrastError: if it is, with the line that installs it, or if importing it fails.
    """
    if find_spec(module.partition(".")[0]) is None:
        extra = component.partition("/")[2]
        raise ContrastError(
            f"{component} needs {distribution}, which is not installed: pip install 'contrast-core[{extra}]'"
        )
    try:
        return import_module(module)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ContrastError(f"{distribution} is installed, but {module} can't be imported: {reason}") from error


def made(what: str, name: str, classes: Mapping[str, type], arguments: Mapping[str, Any]) -> Any:
    """An object of the named class.

    Args:
        what: what such classes are, for messages: "loss of lightly".
        name: the class.
        classes: all that may be named.
        arguments: of its constructor, by keyword.

    Raises:
        ValueError: for an unknown class or argument, with the nearest known ones, or if the class refuses a value.
    """
    if name not in classes:
        known = did_you_mean(name, classes) or f" There are {', '.join(sorted(classes))}."
        raise ValueError(f"There is no {what} called '{name}'.{known}")
    known_arguments = arguments_of(classes[name])
    for argument in arguments:
        if argument not in known_arguments:
            hint = did_you_mean(argument, known_arguments) or f" It has {', '.join(known_arguments) or 'none'}."
            raise ValueError(f"{name}, a {what}, has no argument '{argument}'.{hint}")
    return accepted(f"{name}, a {what},", classes[name], **arguments)


def accepted(who: str, call: Callable[..., Any], *positional: Any, **named: Any) -> Any:
    """The result of a call; what the other library objects to becomes a ValueError that says who objects."""
    try:
        return call(*positional, **named)
    except (ValueError, TypeError, AssertionError, IndexError, NotImplementedError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{who} refuses this: {reason}") from error


def arguments_of(target: type) -> list[str]:
    """The names of a constructor's arguments, those that it hands on to the classes it extends included."""
    found: dict[str, None] = {}
    for owner in target.__mro__:
        if owner in (nn.Module, object):
            break
        if "__init__" not in vars(owner):
            continue
        own = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]
        found |= {p.name: None for p in own if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind == p.VAR_KEYWORD for p in own):
            break
    return list(found)
