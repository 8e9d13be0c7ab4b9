"""Which pairs of a docstring and a function are worth learning from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import final

from attrs import frozen

from contrast_code.rows import Snippet

_WORD = re.compile(r"\w+|[^\w\s]")
_ADDRESS = re.compile(r"https?://|www\.")


@final
@frozen(eq=False)
class Pair:
    """A query and the code it belongs to.

    Args:
        query: the first paragraph of what documents the code, on one line.
        code: the code's leaves.
        name: the function's name; file: where it is from; language: what it is written in.
        origin: what the split of a transfer is by: a library, a repository.
        part: "train", "validation", "test" or "codebase" where the source says so, "" where it does not.
    """

    query: str
    code: Snippet
    name: str
    file: str
    language: str
    origin: str
    part: str = ""


def query_of(docstring: str | None) -> str | None:
    """The first paragraph on one line, if it has 3 to 256 words or signs, all of ASCII, and no address; else None."""
    if not docstring:
        return None
    first = " ".join(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0].split())
    if not first.isascii() or _ADDRESS.search(first) or not 3 <= len(_WORD.findall(first)) <= 256:
        return None
    return first


def worth(name: str, code: str) -> bool:
    """Whether a function has three lines at least, and is neither a test nor one of Python's special methods."""
    special = name.startswith("__") and name.endswith("__")
    return not special and "test" not in name.lower() and code.count("\n") >= 2


def without_twins(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """The first of those pairs that share their code, or their query in lower case."""
    codes, queries = set[str](), set[str]()
    for pair in pairs:
        query = pair.query.lower()
        if pair.code.text not in codes and query not in queries:
            yield pair
        codes.add(pair.code.text)
        queries.add(query)
