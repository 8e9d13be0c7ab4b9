"""Source code of six languages: its functions with what documents them, and the leaves of its syntax tree."""

from contrast_code.languages.functions import Function, functions, without_comments
from contrast_code.languages.grammars import LANGUAGES, language_of
from contrast_code.languages.leaves import ALL_KINDS, KINDS, Leaf, leaves

__all__ = [
    "ALL_KINDS",
    "KINDS",
    "LANGUAGES",
    "Function",
    "Leaf",
    "functions",
    "language_of",
    "leaves",
    "without_comments",
]
