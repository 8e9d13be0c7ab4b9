"""The command `contrast-code`: index a repository, and search it by what code does."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.syntax import Syntax
from rich.text import Text

from contrast_code.languages import LANGUAGES
from contrast_code.search.files import decoded
from contrast_code.search.index import BusyError, Updated, update
from contrast_code.search.model import Model, newest_run
from contrast_code.search.store import Entry, Hit, Store
from contrast_core.cache import cache_folder

SHOWN = 12
"""Lines of a function that are shown."""
PATIENCE = 2.0
"""Seconds that a search waits for another process that is indexing."""
TRIES = 5
"""How often a search begins anew when another process changes the index meanwhile."""


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(prog="contrast-code", description="Search code by what it does.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    search = commands.add_parser("search", help="the functions that a query asks for; what changed is indexed first")
    search.add_argument("query", help='what the code does: "parse an ISO date"')
    search.add_argument("--top", type=int, default=5, metavar="N", help="how many functions (default: 5)")
    search.add_argument("--language", choices=LANGUAGES, help="functions of this language alone")
    search.add_argument("--json", action="store_true", help="machine-readable")
    index = commands.add_parser("index", help="index a repository, or what changed in it, and say what was skipped")
    for one in (search, index):
        one.add_argument("--in", dest="root", type=Path, default=Path(), metavar="PATH", help="the repository's folder")
        one.add_argument("--run", type=Path, metavar="RUN", help="a run of contrast-code (default: the newest in runs)")
        one.add_argument(
            "--index", type=Path, metavar="FOLDER", help="where the index is (default: in the cache, else PATH)"
        )
        one.add_argument("--rebuild", action="store_true", help="embed unchanged files again too")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with one sentence on what is wrong."""
    given = parser().parse_args(arguments)
    try:
        return _index(given) if given.command == "index" else _search(given)
    except BrokenPipeError:
        # The reader, such as head, has enough; Python would complain again when it closes the output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, RuntimeError, ValueError) as error:
        print(f"contrast-code: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("contrast-code: interrupted; what was indexed is kept.", file=sys.stderr)
        return 130


def _index(given: argparse.Namespace) -> int:
    root, store, model = _opened(given)
    updated = update(root, store, model.name, model.codes, rebuild=given.rebuild, watch=_watched)
    print(f"{_count(updated.entries, root, _odd(updated)):,} functions of {len(updated.entries):,} files; ", end="")
    print(f"{updated.embedded:,} embedded now{_why(updated)}. {_odd(updated)}")
    print(f"The index is in {store.folder}.")
    return 0


def _search(given: argparse.Namespace) -> int:
    if not given.query.strip():
        raise ValueError("The query is empty: say in a few words what the code does.")
    if given.top < 1:
        raise ValueError(f"top is {given.top}; ask for at least 1 function.")
    root, store, model = _opened(given)
    query = model.query(given.query)
    for _ in range(TRIES):
        entries = _current(root, store, model, given)
        try:
            hits = store.nearest(query, entries, given.top, given.language)
            break
        except FileNotFoundError:
            continue  # another process has just put newer rows in their place
    else:
        raise BusyError(f"Other processes keep changing the index in {store.folder}. Ask again when they are done.")
    if not hits:
        print(f"There is no function of {given.language} in {root}.", file=sys.stderr)
    if given.json:
        print(json.dumps([_told(hit) for hit in hits], indent=2))
    else:
        _show(hits, root)
    sys.stdout.flush()
    return 0


def _opened(given: argparse.Namespace) -> tuple[Path, Store, Model]:
    model = Model(given.run if given.run is not None else newest_run(Path("runs")))
    root = given.root.resolve()
    return root, Store(given.index if given.index is not None else _place(root)), model


def _current(root: Path, store: Store, model: Model, given: argparse.Namespace) -> dict[str, Entry]:
    """The entries of what is there now; while another process is indexing, of what it has saved."""
    try:
        updated = update(root, store, model.name, model.codes, rebuild=given.rebuild, watch=_watched, wait=PATIENCE)
    except BusyError:
        entries = store.read(model.name)
        if not entries:
            raise
        print("Another process is indexing; the answers are from what it has saved so far.", file=sys.stderr)
        return entries
    _count(updated.entries, root, _odd(updated))
    if updated.embedded:
        print(f"Indexed {updated.embedded:,} new or changed files{_why(updated)}. {_odd(updated)}", file=sys.stderr)
    return updated.entries


def _count(entries: Mapping[str, Entry], root: Path, odd: str) -> int:
    count = sum(len(entry.functions) for entry in entries.values())
    if not count:
        raise ValueError(f"There is no function in {root}, in a language of {', '.join(LANGUAGES)}. {odd}")
    return count


def _why(updated: Updated) -> str:
    return ", as the index was made with another run" if updated.renewed else ""


def _place(root: Path) -> Path:
    cache = cache_folder()
    if cache is None:
        return root / ".contrast-code"
    return cache / "code-search" / hashlib.sha256(str(root).encode()).hexdigest()[:16]


def _watched(paths: Sequence[str]) -> Iterable[str]:
    return track(
        paths, "indexing", console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty() or not paths
    )


def _odd(updated: Updated) -> str:
    told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(updated.skipped.items()))
    return f"Skipped or odd: {told}." if told else "Nothing was skipped."


def _told(hit: Hit) -> dict[str, object]:
    return {
        "file": hit.path, "line": hit.function.line, "last": hit.function.last, "name": hit.function.name,
        "language": hit.language, "score": hit.score,
    }  # fmt: skip


def _show(hits: Sequence[Hit], root: Path) -> None:
    console = Console(soft_wrap=True)
    for hit in hits:
        first, last = hit.function.line, hit.function.last
        try:
            # As the grammars count: splitlines would also end a line at a form feed.
            lines = decoded((root / hit.path).read_bytes())[0].split("\n")[first - 1 : last]
        except OSError:
            lines = []
        text = _plain("\n".join(lines[:SHOWN]) + ("\n..." if len(lines) > SHOWN else ""))
        place = Text(f"{_plain(hit.path)}:{first}", "bold")
        console.print(place, Text(_plain(hit.function.name)), Text(f"{hit.score:.3f}", "dim"), sep="  ")
        console.print(Syntax(text, hit.language, line_numbers=True, start_line=first, background_color="default"))


def _plain(text: str) -> str:
    """Text that is harmless on a terminal, and can be encoded."""
    shown = (each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text.replace("\r\n", "\n"))
    return "".join(shown)


if __name__ == "__main__":
    sys.exit(main())
