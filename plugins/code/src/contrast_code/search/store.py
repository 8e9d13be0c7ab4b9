"""The index on disk: shards that are never changed, and a manifest replaced at once."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

FORMAT: Final = 1
BLOCK: Final = 8_192


@final
@dataclass(frozen=True)
class Function:
    """Where a function is: its name and its first and last line, counted from 1."""

    name: str
    line: int
    last: int


@final
@dataclass(frozen=True)
class Entry:
    """An indexed file: what it looked like, its functions, and the rows of a shard that hold their embeddings."""

    size: int
    changed: int
    digest: str
    language: str
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

    def read(self, run: str) -> dict[str, Entry]:
        """The entries made with this run; none if the index is missing, unreadable or made with another run."""
        try:
            manifest = json.loads(self._manifest.read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT or manifest["run"] != run:
                return {}
            return {
                path: Entry(**{**entry, "functions": tuple(Function(**item) for item in entry["functions"])})
                for path, entry in manifest["files"].items()
                if not entry["shard"] or (self.folder / entry["shard"]).is_file()
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}

    def add(self, rows: NDArray[np.float32]) -> str:
        """Writes rows (n, d) as a new shard, scaled to length one, and returns its name.

        Raises:
            ValueError: if a row has no direction: it is zero, or holds NaN or infinity.
        """
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise ValueError("An embedding is zero, NaN or infinite, so it has no direction. Train the run again.")
        name = f"{os.urandom(8).hex()}.npy"
        with (self.folder / name).open("xb") as file:
            np.save(file, (rows / lengths).astype(np.float32))
            file.flush()
            os.fsync(file.fileno())
        return name

    def write(self, run: str, entries: dict[str, Entry]) -> None:
        """Replaces the manifest at once."""
        manifest = {"format": FORMAT, "run": run, "files": {path: asdict(entry) for path, entry in entries.items()}}
        fresh = self.folder / "manifest.fresh"
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(manifest, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._manifest)

    def tidy(self, entries: dict[str, Entry]) -> None:
        """Removes the shards that no entry names."""
        named = {entry.shard for entry in entries.values()}
        for shard in self.folder.glob("*.npy"):
            if shard.name not in named:
                shard.unlink(missing_ok=True)

    def nearest(
        self, query: NDArray[np.float32], entries: dict[str, Entry], top: int, language: str | None = None
    ) -> list[Hit]:
        """The `top` functions with the largest cosine to the query (d,), compared with every row.

        Cosines are rounded to six decimals; equal ones are in order of path and line.

        Raises:
            ValueError: if `top` is below 1 or the query has no direction.
        """
        if top < 1:
            raise ValueError(f"top is {top}; ask for at least 1 function.")
        length = float(np.linalg.norm(query))
        if not np.isfinite(length) or length == 0:
            raise ValueError("The query's embedding is zero, NaN or infinite, so nothing is near it. Train again.")
        # In float64 and rounded: the last bits of a product depend on the shard's size, and equal code must tie.
        direction = query.astype(np.float64) / length
        scores: dict[str, NDArray[np.float64]] = {}
        hits: list[Hit] = []
        for path, entry in entries.items():
            if not entry.functions or (language is not None and entry.language != language):
                continue
            if entry.shard not in scores:
                rows = np.load(self.folder / entry.shard, mmap_mode="r")
                blocks = [
                    rows[start : start + BLOCK].astype(np.float64) @ direction for start in range(0, len(rows), BLOCK)
                ]
                scores[entry.shard] = np.concatenate(blocks).round(6)
            mine = scores[entry.shard][entry.start : entry.start + len(entry.functions)]
            hits += [
                Hit(path, function, entry.language, float(score))
                for function, score in zip(entry.functions, mine, strict=True)
            ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.path, hit.function.line))[:top]
