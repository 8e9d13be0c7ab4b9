"""Settings given from Python, as the texts that a recipe reads. No torch here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any

from contrast_core.errors import ContrastError


def as_settings(given: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """`section.key=value` texts from a mapping, whose values may be mappings in turn; texts stay as they are.

    Raises:
        ContrastError: for a value that TOML can't hold.
    """
    if isinstance(given, str):
        return [given]
    return [f"{key}={_toml(key, value)}" for key, value in _flat(given)] if isinstance(given, Mapping) else list(given)


def _flat(given: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    # `use` first: naming another component clears the options of the one before.
    for key in sorted(given, key=lambda key: key != "use"):
        value = given[key]
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _toml(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | PurePath):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        number = float(value)
        return repr(number) if math.isfinite(number) else str(number)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {_toml(key, v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_toml(key, each) for each in value) + "]"
    what = "None; leave the key out instead" if value is None else f"a {type(value).__name__}"
    raise ContrastError(f"The setting {key} can't be {what}: a recipe holds numbers, texts, true, false, lists and "
                        "tables.")  # fmt: skip
