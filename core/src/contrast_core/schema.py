"""A constructor is its own schema: options from a recipe are checked against its typed keyword arguments."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from cattrs import Converter
from cattrs.strategies import configure_union_passthrough

from contrast_core.errors import ContrastError, did_you_mean

REQUIRED = inspect.Parameter.empty


@attrs.frozen
class Parameter:
    """One keyword argument: its name, type and default (`REQUIRED` if there is none)."""

    name: str
    type: Any
    default: Any


def parameters_of(constructor: Callable[..., Any]) -> dict[str, Parameter]:
    """The typed keyword arguments of a class or function.

    Raises:
        ContrastError: if an argument has no type or cannot be given by keyword: then it can't be set in a recipe.
    """
    target = constructor.__init__ if inspect.isclass(constructor) else constructor
    hints = get_type_hints(target)
    found = {}
    for parameter in inspect.signature(constructor).parameters.values():
        name = getattr(constructor, "__qualname__", str(constructor))
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ContrastError(
                f"{name} takes '{parameter}', which a recipe can't give: use typed keyword arguments."
            )
        if parameter.name not in hints:
            raise ContrastError(f"The argument '{parameter.name}' of {name} needs a type annotation.")
        found[parameter.name] = Parameter(parameter.name, hints[parameter.name], parameter.default)
    return found


def fields_of(cls: type) -> dict[str, Parameter]:
    """The fields of an attrs class, as parameters."""
    attrs.resolve_types(cls)
    return {
        a.name: Parameter(a.name, a.type, REQUIRED if a.default is attrs.NOTHING else a.default)
        for a in attrs.fields(cls)
    }


Special = Callable[[Any, Any, str], Any]
"""Called with (type, value, key) before the ordinary check; returns NotImplemented for what it doesn't handle."""


def check(
    parameters: Mapping[str, Parameter],
    options: Mapping[str, Any],
    what: str,
    where: Callable[[str], str],
    special: Special = lambda *_: NotImplemented,
) -> dict[str, Any]:
    """Options with every value of its declared type.

    Args:
        parameters: what is allowed.
        options: what was given.
        what: whose options these are, for messages: "encoder (graph/meow-encoder)".
        where: from a key to the place where it was written, "meow.toml, line 12".
        special: a first look at each value.

    Raises:
        ContrastError: for an unknown key (with the nearest valid one), a missing one, or a wrong type.
    """
    checked = {}
    for key, value in options.items():
        if key not in parameters:
            valid = ", ".join(sorted(parameters)) or "none"
            hint = did_you_mean(key, parameters) or f" Its keys are: {valid}."
            raise ContrastError(f"{where(key)}: {what} has no key '{key}'.{hint}")
        wanted = parameters[key].type
        result = special(wanted, value, key)
        if result is NotImplemented:
            try:
                result = _CONVERTER.structure(_refuse_loose(value, wanted), wanted)
            except Exception as error:
                raise ContrastError(
                    f"{where(key)}: '{key}' of {what} must be {describe(wanted)}, not {value!r}."
                ) from error
        checked[key] = result
    for parameter in parameters.values():
        if parameter.default is REQUIRED and parameter.name not in checked:
            place = where("")
            raise ContrastError(
                f"{place}: {what} needs the key '{parameter.name}' ({describe(parameter.type)}), which is missing."
            )
    return checked


def describe(wanted: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(describe(a) for a in arguments if a is not type(None)) + (
            " (or left out)" if type(None) in arguments else ""
        )
    if origin is not None and issubclass(origin, Mapping):
        return f"a table of {describe(arguments[1])}"
    if origin is not None and issubclass(origin, Sequence):
        return f"a list, each {describe(arguments[0])}"
    return {int: "an integer", float: "a number", bool: "true or false", str: "a text", Path: "a path"}.get(
        wanted, getattr(wanted, "__name__", str(wanted))
    )


def _refuse_loose(value: Any, wanted: Any) -> Any:
    # cattrs would take a text for a list of its letters.
    origin = get_origin(wanted)
    if isinstance(value, str) and inspect.isclass(origin) and issubclass(origin, Sequence):
        raise TypeError("a text is no list")
    return value


def _exactly(accepted: tuple[type, ...], result: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if isinstance(value, bool) and result is not bool or not isinstance(value, accepted):
            raise TypeError(f"{value!r} is no {result.__name__}")
        return result(value)

    return structure


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    configure_union_passthrough(int | float | str | bool | None, converter)
    for result, accepted in (
        (int, (int,)),
        (float, (int, float)),
        (str, (str,)),
        (bool, (bool,)),
        (Path, (str, Path)),
    ):
        converter.register_structure_hook(result, _exactly(accepted, result))
    return converter


_CONVERTER = _converter()
