"""The embedded corpus: pairs out of the source of the standard library and of installed libraries."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
import sysconfig
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from contrast_code.data.filters import Pair, query_of, without_twins, worth
from contrast_code.languages import functions, leaves
from contrast_code.rows import Snippet
from contrast_core.cache import cache_folder
from contrast_core.files import replacing

BUILDER = 1
"""Counts up whenever the same libraries would give other pairs."""

STANDARD = "python"
LIBRARIES: Mapping[str, tuple[str, str]] = {
    "networkx": ("networkx", "BSD-3-Clause"),
    "numpy": ("numpy", "BSD-3-Clause"),
    "pandas": ("pandas", "BSD-3-Clause"),
    "scikit-learn": ("sklearn", "BSD-3-Clause"),
    "scipy": ("scipy", "BSD-3-Clause"),
    "sympy": ("sympy", "BSD-3-Clause"),
}
"""Distribution: its package and its licence. The standard library's licence is the PSF's."""

_NOT_CODE = frozenset({"test", "tests", "testing", "idle_test", "site-packages", "dist-packages", "__pycache__",
                       "lib2to3", "_vendor", "externals", "pydoc_data"})  # fmt: skip
_DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error)


def installed(wanted: Sequence[str] | None = None) -> dict[str, str]:
    """Library: version, of those that are installed, the standard library first.

    Args:
        wanted: names of `LIBRARIES`, or "python"; left out, all that are installed.

    Raises:
        ValueError: for a name that is none of them, or a wanted library that is not installed.
    """
    known = (STANDARD, *LIBRARIES)
    for name in wanted or ():
        if name not in known:
            raise ValueError(f"'{name}' is no library that pairs are taken from; these are {', '.join(known)}.")
    found = {}
    for name in known if wanted is None else wanted:
        try:
            found[name] = sys.version.split()[0] if name == STANDARD else metadata.version(name)
        except metadata.PackageNotFoundError:
            if wanted is not None:
                raise ValueError(f"The library {name} is not installed: pip install {name}.") from None
    return found


def licence(library: str) -> str:
    """The licence of one of the libraries."""
    return "PSF-2.0" if library == STANDARD else LIBRARIES[library][1]


def library_pairs(libraries: Mapping[str, str], *, cache: bool = True) -> list[Pair]:
    """The pairs of some libraries, in the order of their files; from the cache folder if they were built before.

    Args:
        libraries: name: version, as `installed` gives them.
        cache: read and write `contrast_core.cache.cache_folder()`; a damaged file is replaced, and a folder that can't
            be written is passed over.
    """
    stamp = json.dumps({"builder": BUILDER, "python": sys.version_info[:2], **libraries}, sort_keys=True)
    folder = cache_folder() if cache else None
    file = folder / f"code-pairs-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}.json.gz" if folder else None
    if file is not None:
        try:
            return [_pair(told) for told in json.loads(gzip.decompress(file.read_bytes()))]
        except _DAMAGED:
            pass  # not there yet, or damaged: build it
    pairs = list(without_twins(_found(libraries)))
    if file is not None:
        _write(file, gzip.compress(json.dumps([_told(pair) for pair in pairs]).encode(), 1))
    return pairs


def _found(libraries: Mapping[str, str]) -> Iterator[Pair]:
    files = [(library, root, path) for library in libraries for root, path in _files(library)]
    for library, root, path in track(files, "reading libraries", transient=True, disable=not sys.stderr.isatty()):
        text = path.read_text("utf-8", "replace")
        for each in functions(text, "python"):
            query = query_of(each.docstring)
            if query is not None and worth(each.name, each.code):
                code = Snippet.of(leaves(each.code, "python"))
                yield Pair(query, code, each.name, path.relative_to(root).as_posix(), "python", library)


def _files(library: str) -> Iterator[tuple[Path, Path]]:
    """The source files of a library, in order, with the folder that their names are told from."""
    if library == STANDARD:
        root = base = Path(sysconfig.get_paths()["stdlib"])
    else:
        found = util.find_spec(LIBRARIES[library][0])
        if found is None or found.origin is None:
            return
        root = Path(found.origin).parent
        base = root.parent
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _NOT_CODE and not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".py") and not name.startswith("test_"):
                yield base, Path(folder, name)


def _told(pair: Pair) -> list[Any]:
    lengths = np.diff(pair.code.ends, prepend=-1).tolist()
    return [pair.query, pair.code.text, lengths, pair.code.kinds.tolist(), pair.name, pair.file, pair.origin]


def _pair(told: list[Any]) -> Pair:
    query, text, lengths, kinds, name, file, origin = told
    ends = np.cumsum(np.array(lengths, np.int32), dtype=np.int32) - 1
    return Pair(query, Snippet(text, ends, np.array(kinds, np.uint8)), name, file, "python", origin)


def _write(file: Path, content: bytes) -> None:
    """Put the file there whole or not at all."""
    with suppress(OSError), replacing(file) as temporary:
        temporary.write_bytes(content)
