"""The one error that a user is meant to read, and the sentence that suggests what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ContrastError(Exception):
    """Something the user can mend: the message is a full sentence; the command line exits with code 2."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The `count` known names nearest to `name`, comparing whole names and their parts after the slash."""
    known = sorted(set(known))
    by_tail = {candidate.rpartition("/")[2]: candidate for candidate in known}
    whole = get_close_matches(name, known, n=count, cutoff=0.5)
    tails = [by_tail[t] for t in get_close_matches(name.rpartition("/")[2], by_tail, n=count, cutoff=0.5)]
    return list(dict.fromkeys([*whole, *tails]))[:count]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean a, b or c?' with a leading space, or nothing when no known name is near."""
    found = nearest(name, known)
    if not found:
        return ""
    listed = found[0] if len(found) == 1 else ", ".join(found[:-1]) + " or " + found[-1]
    return f" Did you mean {listed}?"
