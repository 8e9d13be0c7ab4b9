"""The parts of an objective's docstring: equations, prose, arguments, and the paragraphs that begin with a keyword."""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

KEYWORD = re.compile(r"(Args|Use|Cost|Parity|Raises|Papers?):(?=\s|$)")
ARGUMENT = re.compile(r"( *)(\w+(?:, \w+)*):(?: |$)(.*)")
EQUATION = re.compile(r"(?:\A|(?<=: ))[A-Za-z]\w*(?:\([^()]*\))? += ")
SENTENCE = re.compile(r"(?<=[^.]\.)\s+(?=[A-Z`])")
POINTER = re.compile(r"(?:\A|(?<= ))See `_\w+` for the arguments\.\s*")


class Block(NamedTuple):
    """A paragraph of prose, in one line, or lines of an equation as they are written."""

    text: str
    equation: bool


class Documentation(NamedTuple):
    """What a docstring says.

    Args:
        lead: everything before the first paragraph with a keyword.
        notes: whatever stands between or after those.
        arguments: what is said of each argument.
        sections: the text after `Use`, `Cost`, `Parity` and `Paper`, in one line.
        raises: what is raised, and when.
    """

    lead: list[Block]
    notes: list[Block]
    arguments: dict[str, str]
    sections: dict[str, str]
    raises: dict[str, str]


def parse(documentation: str) -> Documentation:
    """The parts of a docstring without common indentation.

    Where a keyword comes twice, as when the text of a base class follows, the first one holds; arguments are gathered
    from all.
    """
    found = Documentation([], [], {}, {}, {})
    free = found.lead
    for paragraph in re.split(r"\n(?:[ \t]*\n)+", documentation.strip("\n")):
        keyword = KEYWORD.match(paragraph)
        if keyword is None:
            free += blocks(paragraph)
            continue
        free = found.notes
        name, body = keyword[1], paragraph[keyword.end() :]
        if name == "Args":
            found.arguments.update({**_items(body), **found.arguments})
        elif name == "Raises":
            found.raises.update({**_items(body), **found.raises})
        else:
            found.sections.setdefault(name.removesuffix("s"), one_line(body))
    return found


def blocks(paragraph: str) -> list[Block]:
    """The equations and the prose of a paragraph.

    An equation is a paragraph whose lines are all indented, or a sentence that begins with `name = `, at the begin of
    the paragraph or after a colon.
    """
    if all(line.startswith("    ") for line in paragraph.splitlines()):
        return [Block(textwrap.dedent(paragraph).rstrip(), True)]
    equation = EQUATION.search(paragraph)
    if equation is None:
        return _prose(paragraph)
    before, rest = paragraph[: equation.start()], paragraph[equation.start() :]
    end = SENTENCE.search(rest)
    cut = end.start() if end else len(rest)
    return [*_prose(before), Block(textwrap.dedent(rest[:cut]).rstrip(), True), *_prose(rest[cut:])]


def one_line(text: str) -> str:
    """The words of a text, however they are wrapped."""
    return " ".join(text.split())


def _prose(text: str) -> list[Block]:
    line = POINTER.sub("", one_line(text)).strip()
    return [Block(line, False)] if line else []


def _items(body: str) -> dict[str, str]:
    """The lines `name: text` of a list; deeper ones, and ones that name nothing, go on with the item before."""
    items: list[tuple[list[str], list[str]]] = []
    depth: int | None = None
    for line in body.splitlines():
        begins = ARGUMENT.fullmatch(line.rstrip())
        if begins and (depth is None or len(begins[1]) <= depth):
            depth = len(begins[1])
            items.append((begins[2].split(", "), [begins[3]]))
        elif items:
            items[-1][1].append(line)
    return {name: one_line(" ".join(lines)) for names, lines in items for name in names}
