"""Reading numeric tables from files, and saying where something in them is wrong."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from contrast_core.errors import did_you_mean


class Columns(NamedTuple):
    """Which columns (or arrays) mean what, and the delimiter of a CSV file."""

    label: str | None
    name: str | None
    ignore: tuple[str, ...]
    delimiter: str


class Found(NamedTuple):
    """Features (n, k) float64; labels, "" where unknown, and names, n texts each or None."""

    features: NDArray[numpy.float64]
    labels: list[str] | None
    names: list[str] | None


def read_csv(path: Path, columns: Columns) -> Found:
    """A CSV file whose first line names the columns.

    Raises:
        ValueError: if it can't be read, is empty, has no such column, or a cell is no finite number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter=columns.delimiter, strict=True)
            header = [cell.strip() for cell in next(lines, [])]
            _check_header(path.name, header, columns)
            return _rows(path.name, header, lines, columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} can't be read as a CSV file: {_reason(error)}.") from error


def read_arrays(path: Path, columns: Columns) -> Found:
    """The arrays of a .npz file, or the one array of a .npy file; nothing pickled is ever loaded.

    Raises:
        ValueError: if it can't be read, has no such array, or the arrays' shapes or values are wrong.
    """
    arrays = load_arrays(path, {"features", columns.label, columns.name}, "features")
    features = array_of(path.name, arrays, "features")
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind not in "fiub":
        shape = f"{features.dtype} of shape {features.shape}"
        raise ValueError(f"The features of {path.name} must be numbers (n, k), at least one, not {shape}.")
    features = features.astype(numpy.float64)
    bad = numpy.argwhere(~numpy.isfinite(features))
    if len(bad):
        row, column = bad[0].tolist()
        value = features[row, column]
        raise ValueError(f"The features of {path.name} hold {value} in row {row}, column {column}, counted from 0.")
    texts: list[list[str] | None] = []
    for wanted_name in (columns.label, columns.name):
        if wanted_name is None:
            texts.append(None)
            continue
        array = array_of(path.name, arrays, wanted_name)
        if array.shape != features.shape[:1]:
            raise ValueError(
                f"The array '{wanted_name}' of {path.name} has shape {array.shape}, but there are "
                f"{len(features)} rows of features: it must be ({len(features)},)."
            )
        texts.append([str(value) for value in array.tolist()])
    labels = texts[0]
    if labels is not None and arrays[str(columns.label)].dtype.kind not in "iubU":
        kind = arrays[str(columns.label)].dtype
        raise ValueError(f"The labels '{columns.label}' of {path.name} must be whole numbers or texts, not {kind}.")
    if labels is not None and arrays[str(columns.label)].dtype.kind == "i":
        labels = ["" if text.startswith("-") else text for text in labels]
    return Found(features, labels, texts[1])


def _check_header(file: str, header: Sequence[str], columns: Columns) -> None:
    if not any(header):
        raise ValueError(f"{file} is empty: its first line must name the columns.")
    numbers = [_number(cell) for cell in header]
    # Counted columns are what pandas writes for an array; any other numbers are a first row of data.
    if None not in numbers and numbers != [float(place) for place in range(len(header))]:
        raise ValueError(f"{file}, line 1 holds numbers; the first line must name the columns.")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{file}, line 1 has the column '{twice}' twice.")
    if "" in header and "" not in columns.ignore:
        raise ValueError(
            f"{file}, line 1: column {header.index('') + 1} has no name; name it, or put \"\" into 'ignore'."
        )
    for name in (columns.label, columns.name, *columns.ignore):
        if name is not None and name not in header:
            have = ", ".join(header[:8]) + (" ..." if len(header) > 8 else "")
            hint = did_you_mean(name, header) or f" Its columns are {have}."
            raise ValueError(f"{file} has no column '{name}'.{hint}")
    if set(header) <= {columns.label, columns.name, *columns.ignore}:
        raise ValueError(f"{file} has no column left for the features.")


def _rows(file: str, header: Sequence[str], lines: Any, columns: Columns) -> Found:
    aside = {columns.label, columns.name, *columns.ignore}
    places = [place for place, name in enumerate(header) if name not in aside]
    features: list[list[float]] = []
    texts: dict[str, list[str]] = {name: [] for name in (columns.label, columns.name) if name is not None}
    for cells in _filled(lines):
        where = f"{file}, line {lines.line_num}"
        if len(cells) != len(header):
            raise ValueError(f"{where} has {len(cells)} cells, but there are {len(header)} columns.")
        numbers = [_number(cells[place]) for place in places]
        for place, number in zip(places, numbers, strict=True):
            if number is None:
                raise ValueError(
                    f"{where}, column '{header[place]}': {cells[place]!r} is no finite number; mend it, or "
                    "name the column in 'ignore'."
                )
        features.append([number for number in numbers if number is not None])
        for name, kept in texts.items():
            kept.append(cells[header.index(name)].strip())
    if not features:
        raise ValueError(f"{file} has a first line but no rows.")
    return Found(numpy.array(features), texts.get(columns.label or ""), texts.get(columns.name or ""))


def _filled(lines: Iterable[list[str]]) -> Iterator[list[str]]:
    return (cells for cells in lines if cells)


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    # Python reads 1_000 as a number; in a table it is rather a name.
    return number if math.isfinite(number) and "_" not in cell else None


def load_arrays(path: Path, wanted: Collection[str | None], alone: str) -> dict[str, Any]:
    """The arrays of a .npz file, empty but for the wanted ones; or the one array of a .npy file, by the name `alone`.

    Raises:
        ValueError: if it can't be read; nothing pickled is ever loaded.
    """
    try:
        # A file of our own is closed even where NumPy finds only half of an archive in it.
        with path.open("rb") as file:
            loaded = numpy.load(file, allow_pickle=False)
            if isinstance(loaded, numpy.ndarray):
                return {alone: loaded}
            return {name: loaded[name] if name in wanted else numpy.empty(0) for name in loaded.files}
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} can't be read: there is no such file.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} can't be read as a NumPy file: {_reason(error)}.") from error


def array_of(file: str, arrays: Mapping[str, Any], name: str) -> NDArray[Any]:
    """One of a file's arrays; ValueError if there is none of that name."""
    if name not in arrays:
        hint = did_you_mean(name, arrays) or f" It has {', '.join(arrays) or 'none'}."
        raise ValueError(f"{file} has no array '{name}'.{hint}")
    found: NDArray[Any] = arrays[name]
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
