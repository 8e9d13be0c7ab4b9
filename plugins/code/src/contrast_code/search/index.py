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
from contrast_code.search.files import SourceFiles, binary, decoded
from contrast_code.search.store import Entry, Function, Store

Embed: TypeAlias = Callable[[Sequence[str], Sequence[str]], NDArray[np.float32]]
"""From n codes and their languages to embeddings (n, d)."""
Watch: TypeAlias = Callable[[Sequence[str]], Iterable[str]]
"""Hands on the paths, and may show how far it got."""


@final
class BusyError(RuntimeError):
    """Another process is changing the index."""


@final
@dataclass(frozen=True)
class Updated:
    """The index's entries, how many files were embedded in this update, what is skipped or odd, by reason, and whether
    an index of another run was replaced."""

    entries: dict[str, Entry]
    embedded: int
    skipped: Counter[str]
    renewed: bool


def update(
    root: Path,
    store: Store,
    run: str,
    embed: Embed,
    *,
    every: int = 64,
    rebuild: bool = False,
    watch: Watch = iter,
    wait: float = 0.0,
) -> Updated:
    """Indexes the functions under `root`, and saves now and then, so that a killed update goes on where it was.

    Args:
        root: the folder of the repository; store: where the index is.
        run: the run that embeds; entries of another run are made anew.
        embed: embeds codes.
        every: files that are embedded at a time. They are saved when the index has grown by an eighth.
        rebuild: embed unchanged files too; until then their old entries stay.
        watch: shows progress.
        wait: seconds to wait for another process that is indexing into the same folder.

    Raises:
        FileNotFoundError: if `root` doesn't exist.
        BusyError: if another process goes on indexing into the same folder.
    """
    sources = SourceFiles(root)
    store.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(store.folder / "lock", timeout=wait):
            return _Update(root, store, run, embed, every, rebuild).of(sources, watch)
    except Timeout as error:
        raise BusyError(f"Another process is indexing into {store.folder}. Wait until it ends.") from error


@final
class _Update:
    """One update, by the process that holds the lock."""

    def __init__(self, root: Path, store: Store, run: str, embed: Embed, every: int, rebuild: bool):
        self.root, self.store, self.run, self.embed, self.every = root, store, run, embed, every
        self.rebuild = rebuild
        self.entries: dict[str, Entry] = {}
        self.waiting: list[tuple[str, Entry, list[str]]] = []
        self.skipped: Counter[str] = Counter()
        self.embedded = self.unsaved = 0

    def of(self, sources: SourceFiles, watch: Watch) -> Updated:
        """Look at each file."""
        made, every = self.store.load()
        known = every if made == self.run else {}
        self.entries = {path: known[path] for path in sources.paths if path in known}
        self.store.tidy(self.entries)
        before = known.copy()
        self.skipped += sources.skipped
        for path in watch(sources.paths):
            reason = self._looked_at(path)
            if reason is not None:
                self.entries.pop(path, None)
                self.skipped[reason] += 1
            if len(self.waiting) == self.every:
                self._embed()
                if 8 * self.unsaved > len(self.entries):
                    self.store.write(self.run, self.entries)
                    self.unsaved = 0
        self._embed()
        self.entries = self.store.packed(self.entries)
        if self.entries != before or made != self.run:
            self.store.write(self.run, self.entries)
        self.store.tidy(self.entries)
        for entry in self.entries.values():
            self.skipped.update(dict(entry.odd))
        return Updated(self.entries, self.embedded, +self.skipped, made not in (None, self.run))

    def _looked_at(self, path: str) -> str | None:
        """Keep the entry of a file or put the file among those that wait; the reason if it is skipped."""
        old = None if self.rebuild else self.entries.get(path)
        try:
            # Asked before it is read: what is written meanwhile is seen the next time.
            state = (self.root / path).stat()
            if old is not None and (old.size, old.changed) == (state.st_size, state.st_mtime_ns):
                return None
            data = (self.root / path).read_bytes()
        except OSError:
            return "unreadable"
        if binary(data):
            return "binary"
        digest = hashlib.sha256(data).hexdigest()
        if old is not None and old.digest == digest:
            self.entries[path] = replace(old, changed=state.st_mtime_ns)
            return None
        text, clean = decoded(data)
        language, odd = language_of(path) or "", Counter[str]()
        found = functions(text, language)
        odd["read with replaced characters (not UTF-8)"] = int(not clean)
        odd["functions that can't be parsed whole"] = sum(each.broken for each in found)
        places = tuple(Function(each.name, each.first, each.last) for each in found)
        entry = Entry(state.st_size, state.st_mtime_ns, digest, language, tuple((+odd).items()), places, "", 0)
        self.waiting.append((path, entry, [each.code for each in found]))
        return None

    def _embed(self) -> None:
        """Embed the files that wait."""
        codes = [code for _, _, several in self.waiting for code in several]
        languages = [entry.language for _, entry, several in self.waiting for _ in several]
        shard, start = (self.store.add(self.embed(codes, languages)) if codes else ""), 0
        for path, entry, several in self.waiting:
            self.entries[path] = replace(entry, shard=shard if several else "", start=start if several else 0)
            start += len(several)
        self.embedded += len(self.waiting)
        self.unsaved += len(self.waiting)
        self.waiting.clear()
