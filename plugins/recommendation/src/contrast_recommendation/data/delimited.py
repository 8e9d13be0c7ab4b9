"""Tables of interactions as text: CSV, and the atomic files of RecBole."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from contrast_recommendation.data.log import Fields, Log, made_log, places_of

TYPES = ("token", "float", "token_seq", "float_seq")
"""The types of RecBole's columns."""


def read_csv(path: Path, fields: Fields, delimiter: str = ",") -> Log:
    """A table whose first line names the columns.

    Raises:
        ValueError: if the file can't be read, lacks a column or has it twice, or a row does not fit; with the line.
    """
    return _read(path, fields, delimiter, quoting=csv.QUOTE_MINIMAL, typed=False)


def read_atomic(path: Path, fields: Fields) -> Log:
    """A `.inter` file of RecBole: tabs, and a first line like `user_id:token  item_id:token  timestamp:float`.

    Raises:
        ValueError: as `read_csv`, and for a column without a type.
    """
    return _read(path, fields, "\t", quoting=csv.QUOTE_NONE, typed=True)


def _read(path: Path, fields: Fields, delimiter: str, *, quoting: int, typed: bool) -> Log:
    wanted = len(fields.named())
    columns: list[list[str]] = [[] for _ in range(wanted)]
    lines: list[int] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
            header = [cell.strip() for cell in next(rows, [])]
            if not any(header):
                raise ValueError(f"{path.name} is empty: its first line must name the columns.")
            places = places_of(path.name, _untyped(path.name, header) if typed else header, fields)
            for cells in rows:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise ValueError(
                        f"{path.name}, line {rows.line_num} has {len(cells)} cells, but there are {len(header)} "
                        "columns."
                    )
                for column, place in zip(columns, places, strict=True):
                    column.append(cells[place])
                lines.append(rows.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        raise ValueError(f"{path} can't be read: {reason.rstrip('.')}.") from error
    stripped = [[cell.strip() for cell in column] for column in columns]
    return made_log(path.name, fields, stripped, lines)


def _untyped(file: str, header: Sequence[str]) -> list[str]:
    for place, cell in enumerate(header, 1):
        name, _, kind = cell.rpartition(":")
        if not name or kind not in TYPES:
            raise ValueError(
                f"{file}, line 1: column {place}, '{cell}', must say its type: name:type with one of "
                f"{', '.join(TYPES)}."
            )
    return [cell.rpartition(":")[0] for cell in header]
