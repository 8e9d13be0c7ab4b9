"""The index on disk: shards that are never changed, and a manifest replaced at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

FORMAT: Final = 2
BLOCK: Final = 8_192
"""Rows that are compared at a time."""
SHARDS: Final = 16
"""Files of rows beyond which they become one."""


@final
class Function(NamedTuple):
    """Where a function is: its name and its first and last line, counted from 1."""

    name: str
    line: int
    last: int


@final
@dataclass(frozen=True)
class Entry:
    """An indexed file: what it looked like, what was odd, its functions, and the rows of a shard that embed them."""

    size: int
    changed: int
    digest: str
    language: str
    odd: tuple[tuple[str, int], ...]
    functions: tuple[Function, ...]
    shard: str
    start: int


@final
@dataclass(frozen=True)
class Hit:
    """A function found, with its cosine similarity to the query."""

    path: str
    function: Function
    language: str
    score: float


@final
class Store:
    """Reads and writes an index. A kill at any moment leaves the last complete manifest and perhaps unnamed shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifest = folder / "manifest.json"

    def load(self) -> tuple[str | None, dict[str, Entry]]:
        """The run that the index was made with, and its entries; None without an index that can be read."""
        try:
            manifest = json.loads(self._manifest.read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT:
                return None, {}
            entries = {path: _entry(told) for path, told in manifest["files"].items()}
            there = {shard for shard in _shards(entries) if (self.folder / shard).is_file()}
            return str(manifest["run"]), {
                path: entry for path, entry in entries.items() if not entry.functions or entry.shard in there
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None, {}

    def read(self, run: str) -> dict[str, Entry]:
        """The entries made with this run; none if the index is missing, unreadable or made with another run."""
        made, entries = self.load()
        return entries if made == run else {}

    def add(self, rows: NDArray[np.float32]) -> str:
        """Writes rows (n, d) as a new shard, scaled to length one, and returns its name.

        Raises:
            ValueError: if a row has no direction: it is zero, or holds NaN or infinity.
        """
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise ValueError("An embedding is zero, NaN or infinite, so it has no direction. Train the run again.")
        name = _fresh()
        with (self.folder / name).open("xb") as file:
            np.save(file, (rows / lengths).astype(np.float32))
            file.flush()
            os.fsync(file.fileno())
        return name

    def write(self, run: str, entries: Mapping[str, Entry]) -> None:
        """Replaces the manifest at once."""
        manifest = {"format": FORMAT, "run": run, "files": {path: _told(entry) for path, entry in entries.items()}}
        fresh = self.folder / "manifest.fresh"
        with fresh.open("w", encoding="utf-8") as file:
            file.write(json.dumps(manifest, separators=(",", ":")))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._manifest)

    def packed(self, entries: dict[str, Entry]) -> dict[str, Entry]:
        """The same entries with all rows in one new shard, if they are in more than `SHARDS` or half of the rows are of
        no use. The old shards stay until `tidy`.

        Raises:
            ValueError: if a shard is damaged.
        """
        shards = _shards(entries)
        if not shards:
            return entries
        old = {shard: self._rows(shard) for shard in shards}
        count = sum(len(entry.functions) for entry in entries.values())
        if len(shards) <= SHARDS and 2 * count > sum(len(rows) for rows in old.values()):
            return entries
        name, start, found = _fresh(), 0, dict(entries)
        width = next(iter(old.values())).shape[1]
        rows = np.lib.format.open_memmap(self.folder / name, mode="w+", dtype=np.float32, shape=(count, width))
        for path, entry in entries.items():
            if entry.functions:
                end = start + len(entry.functions)
                rows[start:end] = old[entry.shard][entry.start : entry.start + len(entry.functions)]
                found[path], start = replace(entry, shard=name, start=start), end
        rows.flush()
        return found

    def tidy(self, entries: Mapping[str, Entry]) -> None:
        """Removes the shards that no entry names."""
        named = _shards(entries)
        for shard in self.folder.glob("*.npy"):
            if shard.name not in named:
                shard.unlink(missing_ok=True)

    def nearest(
        self, query: NDArray[np.float32], entries: Mapping[str, Entry], top: int, language: str | None = None
    ) -> list[Hit]:
        """The `top` functions with the largest cosine to the query (d,), compared with every row.

        Cosines are rounded to six decimals; equal ones are in order of path and line.

        Raises:
            ValueError: if `top` is below 1, the query has no direction, or a shard is damaged.
            FileNotFoundError: if a shard is gone, because another process has put a newer one in its place.
        """
        if top < 1:
            raise ValueError(f"top is {top}; ask for at least 1 function.")
        length = float(np.linalg.norm(query))
        if not np.isfinite(length) or length == 0:
            raise ValueError("The query's embedding is zero, NaN or infinite, so nothing is near it. Train again.")
        # In float64 and rounded: the last bits of a product depend on the shard's size, and equal code must tie.
        direction = query.astype(np.float64) / length
        asked = [(path, each) for path, each in entries.items() if each.functions and language in (None, each.language)]
        if not asked:
            return []
        cosines = {shard: self._cosines(shard, direction) for shard in {each.shard for _, each in asked}}
        parts = [cosines[each.shard][each.start : each.start + len(each.functions)] for _, each in asked]
        bounds = np.cumsum([0, *(len(each.functions) for _, each in asked)])
        scores = np.concatenate(parts)
        if len(scores) != bounds[-1]:
            raise self._damaged()
        least = np.partition(scores, -top)[-top] if top < len(scores) else -np.inf
        hits = []
        for place in np.flatnonzero(scores >= least):
            file = int(np.searchsorted(bounds, place, side="right")) - 1
            path, entry = asked[file]
            function = entry.functions[int(place - bounds[file])]
            hits.append(Hit(path, function, entry.language, float(scores[place])))
        return sorted(hits, key=lambda hit: (-hit.score, hit.path, hit.function.line))[:top]

    def _cosines(self, shard: str, direction: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = self._rows(shard)
        try:
            blocks = [rows[start : start + BLOCK].astype(np.float64) @ direction for start in _starts(len(rows))]
        except ValueError as error:
            raise self._damaged() from error
        return np.concatenate(blocks).round(6)

    def _rows(self, shard: str) -> NDArray[np.float32]:
        try:
            rows: NDArray[np.float32] = np.load(self.folder / shard, mmap_mode="r")
        except (ValueError, EOFError) as error:
            raise self._damaged() from error
        return rows

    def _damaged(self) -> ValueError:
        return ValueError(f"The index in {self.folder} is damaged. Make it anew with --rebuild.")


def _starts(count: int) -> Iterator[int]:
    yield from range(0, max(count, 1), BLOCK)


def _fresh() -> str:
    return f"{os.urandom(8).hex()}.npy"


def _shards(entries: Mapping[str, Entry]) -> set[str]:
    return {entry.shard for entry in entries.values() if entry.functions}


def _told(entry: Entry) -> list[Any]:
    return [
        entry.size, entry.changed, entry.digest, entry.language, entry.odd, entry.functions, entry.shard, entry.start,
    ]  # fmt: skip


def _entry(told: list[Any]) -> Entry:
    size, changed, digest, language, odd, functions, shard, start = told
    places = tuple(Function(*each) for each in functions)
    return Entry(size, changed, digest, language, tuple((name, count) for name, count in odd), places, shard, start)
