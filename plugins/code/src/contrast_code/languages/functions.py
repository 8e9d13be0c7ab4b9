"""The functions of a source file, apart from what documents them."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import final

from attrs import frozen
from tree_sitter import Node, QueryCursor

from contrast_code.languages.grammars import Grammar, known, parser, query

WHOLE = 5_000
"""Nodes that are searched for functions at once."""


@final
@frozen
class Function:
    """A function or method of a source file.

    Args:
        name: its name, without that of its class.
        first, last: its lines, from 1, with decorators.
        code: its text without comments, docstring and empty lines, moved to the left.
        docstring: what documents it, without the comment's marks and what follows a tag such as @param; None without.
        broken: whether a part of it could not be parsed.
    """

    name: str
    first: int
    last: int
    code: str
    docstring: str | None
    broken: bool


def functions(text: str, language: str) -> tuple[Function, ...]:
    """The named functions and methods of a source file in their order; one inside another one is a part of that.

    What documents a function is, in Python, the string it begins with; in the other languages the comments that end on
    the line before it. A file that can't be parsed has the functions that could be told.

    Raises:
        ValueError: if there is no grammar of the language.
    """
    grammar, content = known(language), text.encode("utf-8", "replace")
    root = parser(language, part=False).parse(content).root_node
    aside: list[Node] = []
    found: list[tuple[Node, str]] = []
    notes = _Notes(content)
    for captures in _matches(root, language):
        for node in captures.get("comment", []):
            notes.add(node)
        aside += [*captures.get("comment", []), *captures.get("text", [])]
        pairs = zip(captures.get("function", []), captures.get("name", []), strict=True)
        found += [(node, _text(name)) for node, name in pairs]
    aside.sort(key=_start)
    made: list[Function] = []
    end = 0
    for node, name in sorted(found, key=lambda each: (each[0].start_byte, -each[0].end_byte)):
        if node.start_byte < end:
            continue
        end, whole = node.end_byte, _with_decorators(node, grammar)
        start = content.rfind(b"\n", 0, whole.start_byte) + 1
        if content[start : whole.start_byte].strip():
            start = whole.start_byte
        inside = aside[bisect_left(aside, start, key=_start) : bisect_left(aside, end, key=_start)]
        code = _cut(content, start, whole.end_byte, inside, grammar.blank)
        documented = _python_docstring(node) if language == "python" else _plain(notes.on(whole))
        lines = whole.start_point.row + 1, whole.end_point.row + 1
        made.append(Function(name, *lines, _tidy(code), documented, whole.has_error))
    return tuple(made)


def _matches(root: Node, language: str) -> Iterator[dict[str, list[Node]]]:
    """What the language's query finds, in parts of at most `WHOLE` nodes: to step through the children of one node can
    cost the square of their number, where a file is no code and they are many."""
    waiting = [root]
    while waiting:
        node, cursor = waiting.pop(), QueryCursor(query(language, part=False))
        if node.descendant_count > WHOLE:
            cursor.set_max_start_depth(0)
            waiting += reversed(node.named_children)
        for _, captures in cursor.matches(node):
            yield captures


def without_comments(code: str, language: str) -> str:
    """Code, which may be a piece of a file, without comments, docstrings and empty lines.

    Raises:
        ValueError: if there is no grammar of the language.
    """
    content = code.encode("utf-8", "replace")
    root = parser(language, part=True).parse(content).root_node
    captures = QueryCursor(query(language, part=True)).captures(root)
    aside = sorted((*captures.get("comment", []), *captures.get("text", [])), key=lambda node: node.start_byte)
    return _lines(_cut(content, 0, len(content), aside, known(language).blank))


def _cut(content: bytes, start: int, end: int, aside: Sequence[Node], blank: str) -> bytes:
    pieces = []
    for node in aside:
        if node.start_byte >= start:
            pieces += [content[start : node.start_byte], blank.encode()]
            start = node.end_byte
    return b"".join([*pieces, content[start:end]])


def _lines(code: bytes) -> str:
    return "\n".join(line for line in code.decode("utf-8", "replace").splitlines() if line.strip())


def _tidy(code: bytes) -> str:
    lines = [line.rstrip() for line in _lines(code.expandtabs(4)).split("\n")]
    first = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[min(first, len(line) - len(line.lstrip())) :] for line in lines)


def _start(node: Node) -> int:
    return node.start_byte


def _with_decorators(node: Node, grammar: Grammar) -> Node:
    """The statement that is nothing but this function."""
    while (around := node.parent) is not None and around.type in grammar.statements:
        if sum(child.type not in ("comment", "decorator") for child in around.named_children) > 1:
            break
        node = around
    return node


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _python_docstring(node: Node) -> str | None:
    body = node.child_by_field_name("body")
    first = next((child for child in body.named_children if child.type != "comment"), None) if body else None
    if first is None or first.type != "expression_statement" or [each.type for each in first.children] != ["string"]:
        return None
    try:
        with warnings.catch_warnings():
            # Escapes that Python does not know are the affair of whoever wrote the string.
            warnings.simplefilter("ignore")
            value = ast.literal_eval(_text(first.children[0]))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return (inspect.cleandoc(value).strip() or None) if isinstance(value, str) else None


_SPACE = re.compile(rb"[ \t]*")


@final
class _Notes:
    """The comments of a file: which of them are about what follows."""

    def __init__(self, content: bytes):
        self.content = content
        self.lines: dict[int, Node] = {}
        self.beside: dict[int, Node] = {}

    def add(self, node: Node) -> None:
        after = _SPACE.match(self.content, node.end_byte)
        if after is not None:
            self.beside[after.end()] = node
        if not self.content[self.content.rfind(b"\n", 0, node.start_byte) + 1 : node.start_byte].strip():
            self.lines[node.end_point.row] = node

    def on(self, node: Node) -> list[str]:
        """The comment before it on its line, or those that end on the line before, one block or as many lines."""
        if node.start_byte in self.beside:
            return [_text(self.beside[node.start_byte])]
        row, found = node.start_point.row, list[str]()
        while (above := self.lines.get(row - 1)) is not None:
            text = _text(above)
            block = text.startswith(("/*", "=begin"))
            if block and found:
                break
            found.insert(0, text)
            row = above.start_point.row
            if block:
                break
        return found


_MARKS = re.compile(r"^\s*(?:/\*+|\*+/|\*|//+!?|#+|=begin|=end)?[ \t]?")
_TAG = re.compile(r"^\s*(?:[@\\][a-zA-Z]|:(?:param|returns?|raises)\b|=begin|go:)")


def _plain(comments: Iterable[str]) -> str | None:
    """The text of comments, up to the first tag."""
    kept: list[str] = []
    for comment in comments:
        lines = re.sub(r"\s*\*+/$", "", comment).splitlines()
        for line in lines:
            bare = _MARKS.sub("", line, count=1)
            if _TAG.match(bare):
                return inspect.cleandoc("\n".join(kept)).strip() or None
            kept.append(bare.rstrip())
    return inspect.cleandoc("\n".join(kept)).strip() or None
