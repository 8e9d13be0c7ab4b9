"""The grammars: which endings of files they belong to, and where functions and comments are in their trees."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import final

from attrs import frozen
from tree_sitter import Language, Parser, Query


@final
@frozen
class Grammar:
    """What is special to one language.

    Args:
        endings: of its files.
        query: the nodes that matter, of tree-sitter's query language: @function with its @name, @comment, and @text for
            what documents code without being a comment.
        whole: the grammar's function for a file; part: for a piece of one.
        blank: what stands in place of a comment that is taken out.
        statements: nodes around a function that belong to it, such as decorators.
    """

    endings: tuple[str, ...]
    query: str
    whole: str = "language"
    part: str = "language"
    blank: str = " "
    statements: frozenset[str] = frozenset()


_JAVASCRIPT = """
(function_declaration name: (_) @name) @function
(generator_function_declaration name: (_) @name) @function
(method_definition name: (_) @name) @function
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @function
(field_definition property: (_) @name value: [(arrow_function) (function_expression)]) @function
(pair key: (_) @name value: [(arrow_function) (function_expression)]) @function
(assignment_expression
  left: [(identifier) @name (member_expression property: (_) @name)]
  right: [(arrow_function) (function_expression)]) @function
(comment) @comment
"""

GRAMMARS: Mapping[str, Grammar] = {
    "python": Grammar(
        (".py", ".pyi"),
        "(function_definition name: (_) @name) @function (comment) @comment (expression_statement . (string) .) @text",
        blank="",
        statements=frozenset({"decorated_definition"}),
    ),
    "java": Grammar(
        (".java",),
        "(method_declaration name: (_) @name) @function (constructor_declaration name: (_) @name) @function"
        "(line_comment) @comment (block_comment) @comment",
    ),
    "javascript": Grammar(
        (".js", ".mjs", ".cjs", ".jsx"),
        _JAVASCRIPT,
        statements=frozenset(
            {"export_statement", "lexical_declaration", "variable_declaration", "expression_statement"}
        ),
    ),
    "go": Grammar(
        (".go",),
        "(function_declaration name: (_) @name) @function (method_declaration name: (_) @name) @function"
        "(comment) @comment",
    ),
    "ruby": Grammar(
        (".rb", ".rake"),
        "(method name: (_) @name) @function (singleton_method name: (_) @name) @function (comment) @comment",
    ),
    "php": Grammar(
        (".php",),
        "(function_definition name: (_) @name) @function (method_declaration name: (_) @name) @function"
        "(comment) @comment",
        whole="language_php",
        part="language_php_only",
    ),
}
LANGUAGES = tuple(GRAMMARS)
"""The languages that there are grammars of."""

_ENDINGS = {ending: language for language, grammar in GRAMMARS.items() for ending in grammar.endings}


def language_of(path: PurePath | str) -> str | None:
    """The language of a file by the ending of its name; None for one without a grammar."""
    return _ENDINGS.get(PurePath(path).suffix.lower())


def known(language: str) -> Grammar:
    """The grammar of a language.

    Raises:
        ValueError: if there is none.
    """
    if language not in GRAMMARS:
        raise ValueError(f"There is no grammar of '{language}'; there are {', '.join(LANGUAGES)}.")
    return GRAMMARS[language]


@cache
def _compiled(language: str, entry: str) -> Language:
    return Language(getattr(import_module(f"tree_sitter_{language}"), entry)())


def parser(language: str, part: bool) -> Parser:
    """A parser of whole files, or of a piece of one."""
    grammar = known(language)
    return Parser(_compiled(language, grammar.part if part else grammar.whole))


@cache
def query(language: str, part: bool) -> Query:
    """The query of a language."""
    grammar = known(language)
    return Query(_compiled(language, grammar.part if part else grammar.whole), grammar.query)
