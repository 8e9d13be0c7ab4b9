"""Nested tables as TOML gives them: setting a dotted key, merging one over another, and where each was written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from contrast_core.errors import ContrastError
from contrast_core.schema import shown


def value_of(text: str) -> Any:
    """What a setting says: a TOML value, or else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted path in nested tables; naming another component by `use` clears the options of the one before."""
    *parents, last = path.split(".")
    table: Any = tree
    for place, name in enumerate(parents):
        if place == 0 and name == "stage" and name not in tree:
            raise ContrastError(f"--set {path}: this recipe has no stages.")
        if isinstance(table, list):
            if not (name.isdecimal() and 1 <= int(name) <= len(table)):
                raise ContrastError(f"--set {path}: a stage is named by its number, from 1 to {len(table)}.")
            table = table[int(name) - 1]
        else:
            table = table.setdefault(name, {})
        if not isinstance(table, dict) and not (place == 0 and name == "stage" and isinstance(table, list)):
            above = ".".join(parents[: place + 1])
            raise ContrastError(f"--set {path}: '{above}' is {shown(table)}, not a table: set {above} itself.")
    if isinstance(table, list):
        raise ContrastError(f"--set {path}: write the whole key, for example --set stage.1.training.epochs=5.")
    if last == "use" and table.get("use") != value:
        # Another component has other options.
        for key in [key for key in table if key not in ("weight", "after_encoder")]:
            del table[key]
    table[last] = value


def has(tree: Mapping[str, Any], path: str) -> bool:
    """Whether a dotted path leads to something."""
    table: Any = tree
    for name in path.split("."):
        if not isinstance(table, dict) or name not in table:
            return False
        table = table[name]
    return True


def paths_of(table: Mapping[str, Any], above: str = "") -> list[str]:
    """The dotted paths of everything in a table."""
    found = []
    for key, value in table.items():
        found.append(f"{above}{key}")
        if isinstance(value, dict):
            found += paths_of(value, f"{above}{key}.")
    return found


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` over it, table by table; another component, by `use`, replaces a table as a whole."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("use", old.get("use")) == old.get("use"):
            value = merged(old, value)
        result[key] = value
    return result


def line_numbers(text: str) -> dict[str, int]:
    """From dotted paths to the lines where they are written; tomllib does not tell."""
    header = ""
    stages = 0
    lines: dict[str, int] = {}
    pending = ""
    for number, line in enumerate(text.splitlines(), 1):
        if pending:
            # Within a value of several lines nothing is a header or a key.
            pending += f"\n{line}"
            pending = "" if _is_whole(pending) else pending
        elif table := _HEADER.match(line):
            header = ".".join(_parts(table[2]))
            if header == "stage" and table[1] == "[[":
                stages += 1
            if re.match(r"stage(\.|$)", header):
                header = f"stage.{stages}{header[len('stage') :]}"
                lines.setdefault("stage", number)
            lines.setdefault(header, number)
        elif key := _KEY.match(line):
            path = ".".join(_parts(key[1]))
            lines[f"{header}.{path}" if header else path] = number
            pending = "" if _is_whole(line) else line
    return lines


_WORD = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")


def _parts(dotted: str) -> list[str]:
    return [word.strip("\"'") for word in re.findall(_WORD, dotted)]


def _is_whole(lines: str) -> bool:
    try:
        tomllib.loads(lines)
    except tomllib.TOMLDecodeError:
        return False
    return True
