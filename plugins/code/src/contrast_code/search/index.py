"""Brings an index up to date: only changed files are embedded again, deleted ones leave."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, final

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from contrast_code.search.files import LANGUAGES, SourceFiles, decoded
from contrast_code.search.store import Entry, Function, Store

Functions: TypeAlias = Callable[[str, str], Sequence[tuple[Function, str]]]
"""From a text and its language to its functions, each with its code."""
Embed: TypeAlias = Callable[[Sequence[str]], NDArray[np.float32]]
"""From n texts of code to embeddings (n, d)."""


@final
@dataclass(frozen=True)
class Updated:
    """The index's entries, how many files were embedded in this update, and the count of skipped files by reason."""

    entries: dict[str, Entry]
    embedded: int
    skipped: Counter[str]


def update(
    root: Path, store: Store, run: str, functions: Functions, embed: Embed, *, every: int = 64, rebuild: bool = False
) -> Updated:
    """Indexes the functions under `root`, and saves after every `every` embedded files, so a killed update goes on.

    Raises:
        FileNotFoundError: if `root` doesn't exist.
        RuntimeError: if another process is indexing into the same folder.
    """
    sources = SourceFiles(root)
    store.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(store.folder / "lock", timeout=0):
            return _update(root, sources, store, run, functions, embed, every, rebuild)
    except Timeout as error:
        raise RuntimeError(f"Another process is indexing into {store.folder}. Wait until it ends.") from error


def _update(
    root: Path,
    sources: SourceFiles,
    store: Store,
    run: str,
    functions: Functions,
    embed: Embed,
    every: int,
    rebuild: bool,
) -> Updated:
    known = {} if rebuild else store.read(run)
    entries = {path: known[path] for path in sources.paths if path in known}
    store.tidy(entries if not rebuild else {})
    skipped, embedded = Counter(sources.skipped), 0
    waiting: list[tuple[str, Entry, list[str]]] = []
    for path in sources.paths:
        try:
            state = (root / path).stat()
            old = entries.get(path)
            if old is not None and (old.size, old.changed) == (state.st_size, state.st_mtime_ns):
                continue
            data = (root / path).read_bytes()
        except OSError:
            entries.pop(path, None)
            skipped["unreadable"] += 1
            continue
        digest = hashlib.sha256(data).hexdigest()
        if old is not None and old.digest == digest:
            entries[path] = replace(old, changed=state.st_mtime_ns)
            continue
        text, clean = decoded(data)
        skipped["read with replaced characters (not UTF-8)"] += not clean
        language = LANGUAGES[Path(path).suffix]
        found = functions(text, language)
        entry = Entry(state.st_size, state.st_mtime_ns, digest, language, tuple(item for item, _ in found), "", 0)
        waiting.append((path, entry, [code for _, code in found]))
        embedded += 1
        if len(waiting) == every:
            _save(store, run, entries, waiting, embed)
    _save(store, run, entries, waiting, embed)
    store.tidy(entries)
    return Updated(entries, embedded, +skipped)


def _save(
    store: Store, run: str, entries: dict[str, Entry], waiting: list[tuple[str, Entry, list[str]]], embed: Embed
) -> None:
    codes = [code for _, _, several in waiting for code in several]
    shard, start = (store.add(embed(codes)) if codes else ""), 0
    for path, entry, several in waiting:
        entries[path] = replace(entry, shard=shard if several else "", start=start)
        start += len(several)
    waiting.clear()
    store.write(run, entries)
