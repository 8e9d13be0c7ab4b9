"""Which types, relations and meta-paths the published heterogeneous graphs have."""

from __future__ import annotations

from typing import final

import attrs


@final
@attrs.frozen
class Layout:
    """The types and relations of a published set; file names are made of the types' first letters.

    Attributes:
        target: the type with labels; then ``types`` are the others.
        relations: pairs of types; ``nei_<letter>.npz`` or an edge list ``<letter><letter>.txt`` holds each.
        metapaths: name -> node types.
        classes: names of the classes, where the authors give them.
    """

    target: str
    relations: tuple[tuple[str, str], ...]
    metapaths: dict[str, tuple[str, ...]]
    classes: tuple[str, ...] | None = None


LAYOUTS: dict[str, Layout] = {
    "acm": Layout(
        "paper",
        (("paper", "author"), ("paper", "subject")),
        {"PAP": ("paper", "author", "paper"), "PSP": ("paper", "subject", "paper")},
    ),
    "imdb": Layout(
        "movie",
        (("movie", "actor"), ("movie", "director"), ("movie", "keyword")),
        {
            "MAM": ("movie", "actor", "movie"),
            "MDM": ("movie", "director", "movie"),
            "MKM": ("movie", "keyword", "movie"),
        },
    ),
    "aminer": Layout(
        "paper",
        (("paper", "author"), ("paper", "reference")),
        {"PAP": ("paper", "author", "paper"), "PRP": ("paper", "reference", "paper")},
    ),
    "dblp": Layout(
        "author",
        (("author", "paper"), ("paper", "conference"), ("paper", "term")),
        {
            "APA": ("author", "paper", "author"),
            "APCPA": ("author", "paper", "conference", "paper", "author"),
            "APTPA": ("author", "paper", "term", "paper", "author"),
        },
    ),
}
