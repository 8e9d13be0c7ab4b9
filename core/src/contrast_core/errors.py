"""The one error that a user is meant to read, and the sentence that suggests what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ContrastError(Exception):
    """Something the user can mend: the message is a full sentence; the command line exits with code 2."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The `count` known names nearest to `name`, comparing whole names and their parts after the slash, in any case."""
    by_whole: dict[str, list[str]] = {}
    by_tail: dict[str, list[str]] = {}
    for candidate in sorted(set(known)):
        by_whole.setdefault(candidate.lower(), []).append(candidate)
        by_tail.setdefault(candidate.rpartition("/")[2].lower(), []).append(candidate)
    whole = get_close_matches(name.lower(), by_whole, n=count, cutoff=0.6)
    tails = get_close_matches(name.rpartition("/")[2].lower(), by_tail, n=count, cutoff=0.6)
    found = [*(c for text in whole for c in by_whole[text]), *(c for text in tails for c in by_tail[text])]
    return list(dict.fromkeys(found))[:count]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean a, b or c?' with a leading space, or nothing when no known name is near."""
    found = nearest(name, known)
    if not found:
        return ""
    listed = found[0] if len(found) == 1 else ", ".join(found[:-1]) + " or " + found[-1]
    return f" Did you mean {listed}?"
