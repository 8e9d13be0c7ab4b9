"""A constructor is its own schema: options from a recipe are checked against its typed keyword arguments."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from cattrs import Converter

from contrast_core.errors import ContrastError, did_you_mean

REQUIRED = inspect.Parameter.empty
_ANYTHING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


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
    name = getattr(constructor, "__qualname__", str(constructor))
    signature = list(inspect.signature(constructor).parameters.values())
    if all(parameter.kind in _ANYTHING for parameter in signature) and "__init__" not in vars(constructor):
        # A constructor inherited from torch.nn.Module or object takes nothing.
        return {}
    try:
        hints = get_type_hints(target)
    except NameError as error:
        raise ContrastError(
            f"The types of {name}'s arguments can't be resolved ({error}): import them outside of TYPE_CHECKING."
        ) from error
    found = {}
    for parameter in signature:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ContrastError(f"{name} takes '{parameter}', which a recipe can't give: use typed keyword arguments.")
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
            valid = ", ".join(sorted(parameters))
            hint = did_you_mean(key, parameters) or (f" Its keys are: {valid}." if valid else " It takes none.")
            raise ContrastError(f"{where(key)}: {what} has no key '{key}'.{hint}")
        wanted = parameters[key].type
        result = special(wanted, value, key)
        if result is NotImplemented:
            result = _tables(wanted, value, what, where, key)
        if result is NotImplemented:
            try:
                result = _CONVERTER.structure(value, wanted)
            except Exception as error:
                raise ContrastError(
                    f"{where(key)}: '{key}' of {what} must be {describe(wanted)}, not {shown(value)}."
                ) from error
        checked[key] = result
    for parameter in parameters.values():
        if parameter.default is REQUIRED and parameter.name not in checked:
            place = where("")
            raise ContrastError(
                f"{place}: {what} needs the key '{parameter.name}' ({describe(parameter.type)}), which is missing"
                f"{_how_to_give(what, parameter.name)}."
            )
    return checked


def _how_to_give(what: str, key: str) -> str:
    """How a key of a component, "data (core/table)", is given without writing into its recipe."""
    path, _, component = what.partition(" (")
    return f"; give it with --set {path}.{key}=..." if component else ""


def describe(wanted: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(describe(a) for a in arguments if a is not type(None)) + (
            " (or left out)" if type(None) in arguments else ""
        )
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return f"a table of {describe(arguments[1])}"
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)}: {', '.join(map(describe, arguments))}"
    if inspect.isclass(origin) and issubclass(origin, Collection):
        return f"a list, each {describe(arguments[0])}"
    return _WORDS.get(wanted, getattr(wanted, "__name__", str(wanted)))


def shown(value: Any) -> str:
    """A value as a recipe would write it, or nearly, and not longer than a line."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_WORDS = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
    list: "a list",
    dict: "a table",
}


def _tables(wanted: Any, value: Any, what: str, where: Callable[[str], str], key: str) -> Any:
    """Tables of attrs classes by name, each checked like a section, so that messages name its keys."""
    arguments = get_args(wanted)
    origin = get_origin(wanted)
    if not (inspect.isclass(origin) and issubclass(origin, Mapping) and attrs.has(arguments[1])):
        return NotImplemented
    if not isinstance(value, dict):
        raise ContrastError(f"{where(key)}: '{key}' of {what} must hold tables, not {shown(value)}.")
    made = {}
    for name, table in value.items():
        path = f"{key}.{name}"
        if not isinstance(table, dict):
            raise ContrastError(f"{where(path)}: '{path}' of {what} must be a table, not {shown(table)}.")

        def place(inner: str, path: str = path) -> str:
            return where(f"{path}.{inner}" if inner else path)

        made[name] = arguments[1](**check(fields_of(arguments[1]), table, f"'{path}' of {what}", place))
    return made


def _exactly(accepted: tuple[type, ...], result: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if (isinstance(value, bool) and result is not bool) or not isinstance(value, accepted) or value != value:
            raise TypeError(f"{value!r} is no {result.__name__}")
        return result(value)

    return structure


def _is_union(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, types.UnionType)


def _first_that_fits(value: Any, wanted: Any) -> Any:
    for choice in get_args(wanted):
        if choice is type(None) and value is None:
            return None
        with suppress(Exception):
            return _CONVERTER.structure(value, choice)
    raise TypeError(f"{value!r} is none of {wanted}")


def _is_literal(wanted: Any) -> bool:
    return get_origin(wanted) is Literal


def _one_of(value: Any, wanted: Any) -> Any:
    # By type too: to Python, true is 1 and 1.0 is 1.
    for choice in get_args(wanted):
        if choice == value and type(choice) is type(value):
            return choice
    raise TypeError(f"{value!r} is none of {wanted}")


def _is_list(wanted: Any) -> bool:
    origin = get_origin(wanted) or wanted
    return inspect.isclass(origin) and issubclass(origin, Collection) and not issubclass(origin, str | bytes | Mapping)


def _list(value: Any, wanted: Any) -> Any:
    # cattrs would take a text for a list of its letters, and a table for a list of its keys.
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is no list")
    origin, arguments = get_origin(wanted) or wanted, get_args(wanted) or (Any,)
    if origin is tuple and arguments[-1] is not Ellipsis and get_args(wanted):
        each = zip(value, arguments, strict=True)
    else:
        each = zip(value, [arguments[0]] * len(value), strict=True)
    items = (_CONVERTER.structure(item, kind) for item, kind in each)
    return origin(items) if origin in (list, set, frozenset) else tuple(items)


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for result, accepted in (
        (int, (int,)),
        (float, (int, float)),
        (str, (str,)),
        (bool, (bool,)),
        (Path, (str, Path)),
    ):
        converter.register_structure_hook(result, _exactly(accepted, result))
    converter.register_structure_hook_func(_is_union, _first_that_fits)
    converter.register_structure_hook_func(_is_literal, _one_of)
    converter.register_structure_hook_func(_is_list, _list)
    return converter


_CONVERTER = _converter()
