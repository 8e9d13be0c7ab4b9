"""The leaves of a syntax tree and their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import final

from attrs import frozen
from tree_sitter import Node

from contrast_code.languages.grammars import parser

COMMENTS = frozenset({"comment", "line_comment", "block_comment", "html_comment"})
_SEPARATORS = frozenset("()[]{},;:.")
_QUOTES = frozenset("\"'`")
_COMMON = ("keyword", "operator", "separators", "quote", "other", "identifier", "escape_sequence", "true", "false")
_NAMED: Mapping[str, str] = {
    "python": "string integer float none ellipsis type_conversion",
    "java": "type_identifier decimal_integer_literal hex_integer_literal octal_integer_literal binary_integer_literal "
    "decimal_floating_point_literal character_literal string_fragment multiline_string_fragment void_type boolean_type "
    "null_literal this super asterisk",
    "javascript": "string property_identifier private_property_identifier shorthand_property_identifier "
    "shorthand_property_identifier_pattern statement_identifier number string_fragment regex_pattern regex_flags null "
    "undefined this super jsx_text",
    "go": "field_identifier type_identifier package_identifier label_name blank_identifier int_literal float_literal "
    "imaginary_literal rune_literal interpreted_string_literal_content raw_string_literal_content nil iota",
    "ruby": "string constant instance_variable class_variable global_variable integer float simple_symbol "
    "hash_key_symbol string_content heredoc_beginning heredoc_content heredoc_end nil self super character",
    "php": "string name integer float string_content boolean null cast_type primitive_type heredoc_start heredoc_end "
    "relative_scope",
}
KINDS: Mapping[str, tuple[str, ...]] = {
    language: tuple(sorted({*_COMMON, *names.split()})) for language, names in _NAMED.items()
}
"""The types of leaves of each language."""
ALL_KINDS = tuple(sorted({kind for kinds in KINDS.values() for kind in kinds}))
"""The types of leaves of all languages."""
_KNOWN = frozenset(ALL_KINDS)


@final
@frozen
class Leaf:
    """A leaf.

    Args:
        text: its text.
        node: its node's type in the grammar.
        named: whether the grammar names the node; a keyword, an operator or a bracket has no name.
    """

    text: str
    node: str
    named: bool

    @property
    def kind(self) -> str:
        """Its type, one of `ALL_KINDS`: the node's if it is named, otherwise "keyword", "separators", "quote" or
        "operator"; "other" for rare named nodes."""
        if self.named:
            return self.node if self.node in _KNOWN else "other"
        if self.node[:1].isalpha():
            return "keyword"
        if self.node in _SEPARATORS:
            return "separators"
        return "quote" if self.node[:1] in _QUOTES else "operator"


def leaves(code: str, language: str) -> tuple[Leaf, ...]:
    """The leaves of code, which may be a piece of a file, in their order, without comments and white space.

    A node of the type `string` is one leaf. Code that can't be parsed has leaves too.

    Raises:
        ValueError: if there is no grammar of the language.

    Paper: the types of Shi et al., CoCoSoDa, ICSE 2023, arXiv 2204.03293, section III, whose list is that of older
    grammars.
    """
    root = parser(language, part=True).parse(code.encode("utf-8", "replace")).root_node
    return tuple(_leaves(root))


def _leaves(root: Node) -> Iterator[Leaf]:
    cursor = root.walk()
    while True:
        node = cursor.node
        assert node is not None
        kind = node.type
        if kind == "string" or not cursor.goto_first_child():
            if (
                kind not in COMMENTS
                and node.text is not None
                and (text := node.text.decode("utf-8", "replace")).strip()
            ):
                yield Leaf(text, kind, node.is_named)
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return
