"""Functions and leaves of six languages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrast_code.languages import ALL_KINDS, KINDS, LANGUAGES, functions, language_of, leaves, without_comments
from contrast_core.testing.golden import Case, golden_cases

GOLDEN = golden_cases(Path(__file__).parent.parent / "golden", "code_tokens")

PYTHON = '''class A:
    @deco
    async def f(self, x: int = 3) -> str:
        """Doc here.

        More."""
        def inner():
            "Inner words."
            return 1

        s = f"a{x}b"  # aside
        return s
'''
JAVA = """/** Of the class. */
class A {
  /** Adds one.
   * Twice.
   * @param x a number */
  @Override
  public int add(int x) { /* aside */ return x + 1; }
  // to be removed
  A() { super(); }
}"""
JAVASCRIPT = """/** Adds two.
 * @param a x */
export function add(a, b = 1) { return a + b; }
// Multiplies,
// as it should.
const mul = (a, b) => { return a * b; };
class C { /** In the class. */ m() { return 1; } static x = function() {}; } // of the class
const o = { k: function(a) { return a; }, s(a) {return a} };
module.exports.zed = function (q) { return {q}; };
(function () { function inside() {} })();
"""
GO = """package a
//go:noinline

// Add adds.
// Always.
func Add(x int) int { return x + 1 }

/* M measures. */
func (r *T) M() (err error) { return nil }
"""
RUBY = """class A
  # Adds one.
  # @param x a number
  def add(x)
    x + 1 # aside
  end
  def self.go; :ok; end
end
"""
PHP = """<?php
/** Adds.
 * @return int */
function add($x) { return $x + 1; }
class A { /** Measures. */ public function m() { return 'a' . "b$x"; } }
"""
EXPECTED = {
    "python": (PYTHON, [("f", 2, 12, "Doc here.\n\nMore.")]),
    "java": (JAVA, [("add", 6, 7, "Adds one.\nTwice."), ("A", 9, 9, "to be removed")]),
    "javascript": (
        JAVASCRIPT,
        [
            ("add", 3, 3, "Adds two."),
            ("mul", 6, 6, "Multiplies,\nas it should."),
            ("m", 7, 7, "In the class."),
            ("x", 7, 7, None),
            ("k", 8, 8, None),
            ("s", 8, 8, None),
            ("zed", 9, 9, None),
            ("inside", 10, 10, None),
        ],
    ),
    "go": (GO, [("Add", 6, 6, "Add adds.\nAlways."), ("M", 9, 9, "M measures.")]),
    "ruby": (RUBY, [("add", 4, 6, "Adds one."), ("go", 7, 7, None)]),
    "php": (PHP, [("add", 4, 4, "Adds."), ("m", 5, 5, "Measures.")]),
}


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.meta["params"]["language"])
def test_comments_and_leaves_are_those_of_the_authors_code(case: Case) -> None:
    """The text without comments, and each leaf with its node's type and whether it has a name."""
    language = case.meta["params"]["language"]
    clean = without_comments(case["in_code"], language)
    assert clean == case["out_clean"]
    found = leaves(clean, language)
    assert [leaf.text for leaf in found] == case["out_tokens"]
    assert [leaf.node for leaf in found] == case["out_types"]
    assert [leaf.named for leaf in found] == case["out_named"].tolist()


@pytest.mark.parametrize("language", LANGUAGES)
def test_functions_have_their_names_lines_and_docstrings(language: str) -> None:
    """Methods and nested functions too; one inside another is a part of that."""
    text, expected = EXPECTED[language]
    found = functions(text, language)
    assert [(each.name, each.first, each.last, each.docstring) for each in found] == expected
    assert not any(each.broken for each in found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_holds_no_comment_and_no_docstring(language: str) -> None:
    """The query would otherwise be inside the code."""
    for each in functions(EXPECTED[language][0], language):
        assert "aside" not in each.code
        assert "words" not in each.code
        assert not each.docstring or each.docstring.split("\n")[0] not in each.code


def test_code_is_moved_to_the_left() -> None:
    """And has no empty line."""
    (found,) = functions(PYTHON, "python")
    assert found.code.splitlines() == [
        "@deco", "async def f(self, x: int = 3) -> str:", "    def inner():", "        return 1", '    s = f"a{x}b"',
        "    return s",
    ]  # fmt: skip


def test_leaves_have_one_of_the_known_types() -> None:
    """Keywords, brackets and operators are put together; what the grammar names has its name."""
    found = {leaf.text: leaf.kind for leaf in leaves('if x >= 0x1F: y["a"] = None', "python")}
    assert found == {
        "if": "keyword", "x": "identifier", ">=": "operator", "0x1F": "integer", ":": "separators", "y": "identifier",
        "[": "separators", '"a"': "string", "]": "separators", "=": "operator", "None": "none",
    }  # fmt: skip
    assert {leaf.kind for leaf in leaves('return @a + "b#{c}"', "ruby")} <= set(KINDS["ruby"])
    assert [leaf.kind for leaf in leaves("`t${a}`", "javascript")] == [
        "quote", "string_fragment", "operator", "identifier", "separators", "quote",
    ]  # fmt: skip


def test_broken_code_still_has_its_functions() -> None:
    """Each says whether a part of it could not be parsed."""
    found = functions("def good(x):\n    return x\n\ndef bad(x):\n    return x +* 1\n", "python")
    assert [(each.name, each.broken) for each in found] == [("good", False), ("bad", True)]


def test_a_language_without_a_grammar_is_refused() -> None:
    """Files of it have no language; naming it is an error that names those that there are."""
    assert language_of("a/b/Main.JAVA") == "java"
    assert language_of(Path("notes.txt")) is None
    for use in (functions, leaves, without_comments):
        with pytest.raises(
            ValueError, match="no grammar of 'cobol'; there are python, java, javascript, go, ruby, php"
        ):
            use("x", "cobol")


@given(st.text(), st.sampled_from(LANGUAGES))
def test_any_text_has_leaves_and_functions(text: str, language: str) -> None:
    """Nothing raises, and no leaf is empty."""
    for leaf in leaves(text, language):
        assert leaf.text.strip()
        assert leaf.kind in ALL_KINDS
    for each in functions(text, language):
        assert 1 <= each.first <= each.last
