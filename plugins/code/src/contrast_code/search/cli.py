"""The command `contrast-code`: index a repository, and search it by what code does."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.syntax import Syntax

from contrast_code.languages import LANGUAGES
from contrast_code.search.files import decoded
from contrast_code.search.index import Updated, update
from contrast_code.search.model import Model, newest_run
from contrast_code.search.store import Hit, Store
from contrast_core.cache import cache_folder

SHOWN = 12
"""Lines of a function that are shown."""


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
        return _run(given)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"contrast-code: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("contrast-code: interrupted; what was indexed is kept.", file=sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    if given.command == "search" and not given.query.strip():
        raise ValueError("The query is empty: say in a few words what the code does.")
    model = Model(given.run if given.run is not None else newest_run(Path("runs")))
    root = given.root.resolve()
    store = Store(given.index if given.index is not None else _place(root))
    updated = update(root, store, model.name, model.codes, rebuild=given.rebuild, watch=_watched)
    count = sum(len(entry.functions) for entry in updated.entries.values())
    if not count:
        raise ValueError(f"There is no function in {root}, in a language of {', '.join(LANGUAGES)}. {_odd(updated)}")
    if given.command == "index":
        print(
            f"{count:,} functions of {len(updated.entries):,} files; {updated.embedded:,} embedded now. {_odd(updated)}"
        )
        print(f"The index is in {store.folder}.")
        return 0
    hits = store.nearest(model.query(given.query), updated.entries, given.top, given.language)
    if given.json:
        print(json.dumps([_told(hit) for hit in hits], indent=2))
    else:
        _show(hits, root)
    return 0


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
    console = Console()
    for hit in hits:
        first, last = hit.function.line, hit.function.last
        console.print(
            f"[bold]{hit.path}:{first}[/bold]  {hit.function.name}  [dim]{hit.score:.3f}[/dim]", highlight=False
        )
        try:
            lines = decoded((root / hit.path).read_bytes())[0].splitlines()[first - 1 : last]
        except OSError:
            lines = []
        text = "\n".join(lines[:SHOWN]) + ("\n..." if len(lines) > SHOWN else "")
        console.print(Syntax(text, hit.language, line_numbers=True, start_line=first, background_color="default"))
