"""Brings an index up to date: only changed files are embedded again, deleted ones leave."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, final

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from contrast_code.languages import functions, language_of
from contrast_code.search.files import SourceFiles, decoded
from contrast_code.search.store import Entry, Function, Store

Embed: TypeAlias = Callable[[Sequence[str], Sequence[str]], NDArray[np.float32]]
"""From n codes and their languages to embeddings (n, d)."""
Watch: TypeAlias = Callable[[Sequence[str]], Iterable[str]]
"""Hands on the paths, and may show how far it got."""


@final
@dataclass(frozen=True)
class Updated:
    """The index's entries, how many files were embedded in this update, and what was skipped or odd, by reason."""

    entries: dict[str, Entry]
    embedded: int
    skipped: Counter[str]


def update(
    root: Path,
    store: Store,
    run: str,
    embed: Embed,
    *,
    every: int = 64,
    rebuild: bool = False,
    watch: Watch = iter,
) -> Updated:
    """Indexes the functions under `root`, and saves after every `every` embedded files, so a killed update goes on.

    Args:
        root: the folder of the repository; store: where the index is.
        run: the run that embeds; entries of another run are made anew.
        embed: embeds codes.
        every: files that are embedded and saved at a time.
        rebuild: embed unchanged files too; until then their old entries stay.
        watch: shows progress.

    Raises:
        FileNotFoundError: if `root` doesn't exist.
        RuntimeError: if another process is indexing into the same folder.
    """
    sources = SourceFiles(root)
    store.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(store.folder / "lock", timeout=0):
            return _update(root, sources, store, run, embed, every, rebuild, watch)
    except Timeout as error:
        raise RuntimeError(f"Another process is indexing into {store.folder}. Wait until it ends.") from error


def _update(
    root: Path,
    sources: SourceFiles,
    store: Store,
    run: str,
    embed: Embed,
    every: int,
    rebuild: bool,
    watch: Watch,
) -> Updated:
    known = store.read(run)
    entries = {path: known[path] for path in sources.paths if path in known}
    store.tidy(entries)
    skipped, embedded = Counter(sources.skipped), 0
    waiting: list[tuple[str, Entry, list[str]]] = []
    for path in watch(sources.paths):
        try:
            state = (root / path).stat()
            old = None if rebuild else entries.get(path)
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
        language = language_of(path) or ""
        found = functions(text, language)
        skipped["functions that can't be parsed whole"] += sum(each.broken for each in found)
        places = tuple(Function(each.name, each.first, each.last) for each in found)
        entry = Entry(state.st_size, state.st_mtime_ns, digest, language, places, "", 0)
        waiting.append((path, entry, [each.code for each in found]))
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
    languages = [entry.language for _, entry, several in waiting for _ in several]
    shard, start = (store.add(embed(codes, languages)) if codes else ""), 0
    for path, entry, several in waiting:
        entries[path] = replace(entry, shard=shard if several else "", start=start)
        start += len(several)
    waiting.clear()
    store.write(run, entries)
