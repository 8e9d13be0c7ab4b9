"""Reading columns of texts from files, and saying where something in them is wrong."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from contrast_core.errors import did_you_mean

Row = tuple[int, Mapping[str, Any]]
"""A line's number and its cells by the names of their columns."""


def read_columns(
    path: Path, columns: Sequence[str], labels: Sequence[str], delimiter: str, numbers: Sequence[str] = ()
) -> dict[str, list[str]]:
    """The named columns, a text an item; a label may be empty or a whole number, a number empty or any finite one.

    Raises:
        ValueError: if the file can't be read, is empty, has no such column, a text is missing, or something that is no
            number stands for one.
    """
    reader = {".txt": _lines, ".csv": _table, ".jsonl": _objects}.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path.name} must be a .txt, .csv or .jsonl file, by its ending.")
    if reader is _lines and (len(columns) > 1 or labels or numbers):
        raise ValueError(f"{path.name} holds a text a line: two columns or labels need a .csv or .jsonl file.")
    found: dict[str, list[str]] = {name: [] for name in (*columns, *labels, *numbers)}
    try:
        with path.open(newline="" if reader is _table else None, encoding="utf-8-sig") as file:
            for line, cells in reader(file, path.name, delimiter):
                for name in columns if reader is not _lines else ():
                    found[name].append(_text(cells, name, path.name, line))
                if reader is _lines:
                    found[columns[0]].append(str(cells[""]))
                for label in labels:
                    found[label].append(_label(cells, label, path.name, line))
                for name in numbers:
                    found[name].append(_number(cells, name, path.name, line))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        raise ValueError(f"{path.name} can't be read: {reason.rstrip('.')}.") from error
    if not found[columns[0]]:
        raise ValueError(f"{path.name} has no texts.")
    return found


def _lines(file: IO[str], name: str, delimiter: str) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, {"": line.strip()}


def _table(file: IO[str], name: str, delimiter: str) -> Iterator[Row]:
    lines = csv.reader(file, delimiter=delimiter, strict=True)
    header = [cell.strip() for cell in next(lines, [])]
    if twice := next((cell for cell in header if header.count(cell) > 1), None):
        raise ValueError(f"{name}, line 1 has the column '{twice}' twice.")
    for cells in lines:
        if cells and len(cells) != len(header):
            raise ValueError(
                f"{name}, line {lines.line_num} has {len(cells)} cells, but there are {len(header)} columns."
            )
        if cells:
            yield lines.line_num, dict(zip(header, cells, strict=True))


def _objects(file: IO[str], name: str, delimiter: str) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{name}, line {number} is no JSON: {str(error).rstrip('.')}.") from error
        if not isinstance(found, dict):
            raise ValueError(f'{name}, line {number} must be an object, like {{"text": "..."}}.')
        yield number, found


def _text(cells: Mapping[str, Any], column: str, file: str, line: int) -> str:
    value = _cell(cells, column, file, line)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{file}, line {line}: '{column}' must be a text, not {value!r}.")
    return value.strip()


def _label(cells: Mapping[str, Any], column: str, file: str, line: int) -> str:
    value = _cell(cells, column, file, line)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{file}, line {line}: the label '{column}' must be a text or a whole number, not {value!r}.")
    return str(value).strip()


def _number(cells: Mapping[str, Any], column: str, file: str, line: int) -> str:
    value = _cell(cells, column, file, line)
    text = "" if value is None else str(value).strip()
    try:
        fine = not text or (not isinstance(value, bool) and math.isfinite(float(text)))
    except ValueError:
        fine = False
    if not fine:
        raise ValueError(f"{file}, line {line}: '{column}' must be a number or empty, not {value!r}.")
    return text


def _cell(cells: Mapping[str, Any], column: str, file: str, line: int) -> Any:
    if column not in cells:
        hint = did_you_mean(column, cells) or f" It has {', '.join(cells) or 'none'}."
        raise ValueError(f"{file}, line {line} has no '{column}'.{hint}")
    return cells[column]
