"""Reads functions and classes of an installed library from its source; nothing is imported or executed.

A definition is a function, method or class with a docstring. What is kept of it: the words of the
docstring's head, the names it calls and the names of its parameters. Where it stands (module, file) is only
used to name it.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias, final

import attrs

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_WORD = re.compile(r"[a-z]{3,}")
_UNDERLINE = re.compile(r"\s*[-=~^]{3,}\s*")
_NO_PARAMETERS = frozenset({"self", "cls", "args", "kwargs"})


@final
@attrs.frozen
class Described:
    """One definition.

    Attributes:
        name: public dotted name, such as "scipy.optimize.Bounds.residual" (without private modules).
        words: of the docstring's head, in order, with repeats, lower case.
        calls: names that its body calls, sorted; of ``a.b.c()`` the name is c.
        parameters: names of its parameters (of all methods, for a class), sorted.
    """

    name: str
    words: tuple[str, ...]
    calls: tuple[str, ...]
    parameters: tuple[str, ...]


def package_folder(library: str) -> Path:
    """Where an installed library lies.

    Raises:
        ValueError: it is not installed as a folder.
    """
    spec = importlib.util.find_spec(library)
    if spec is None or spec.origin is None or not spec.submodule_search_locations:
        raise ValueError(
            f"The library {library} is not installed, and the default graph is built from its source; "
            f"run: pip install {library}."
        )
    return Path(spec.origin).parent


def described(library: str, area: str, fewest_words: int = 3) -> Iterator[Described]:
    """The definitions of the subpackage ``library.area`` in the order of file and line, without its tests.

    Args:
        library: an installed library.
        area: the name of one of its folders.
        fewest_words: definitions whose docstring head has fewer words are left out.

    Raises:
        ValueError: the library or the folder is missing.
    """
    root = package_folder(library)
    if not (root / area).is_dir():
        raise ValueError(f"The installed {library} has no folder {area}; install a version that has it.")
    # The order must not depend on the platform's file order or letter case rules.
    for file in sorted((root / area).rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        parts = file.relative_to(root).with_suffix("").parts
        if any(part in {"tests", "test", "testing", "conftest"} or part.startswith("test_") for part in parts):
            continue
        prefix = ".".join((library, *(part for part in parts if not part.startswith("_"))))
        for name, node in _definitions(_parse(file)):
            words = _head_words(ast.get_docstring(node) or "")
            if len(words) >= fewest_words:
                yield Described(f"{prefix}.{name}", words, _calls(node), _parameters(node))


def _parse(file: Path) -> ast.Module:
    """The tree of a file; an empty one where this Python cannot read it (templates, newer syntax)."""
    with warnings.catch_warnings():
        # Odd escapes in somebody else's strings are not ours to report.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            return ast.Module(body=[], type_ignores=[])


def _definitions(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    """Functions and classes of a module, and the methods of its classes."""
    for node in tree.body:
        if isinstance(node, Definition):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{method.name}", method) for method in _methods(node))


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [child for child in node.body if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)]


def _head_words(docstring: str) -> tuple[str, ...]:
    """Words before the first underlined section title (Parameters, Examples ...), without example lines."""
    head: list[str] = []
    for line in docstring.splitlines():
        if head and _UNDERLINE.fullmatch(line):
            head.pop()
            break
        if ">>>" not in line:
            head.append(line)
    return tuple(_WORD.findall(" ".join(head).lower()))


def _calls(node: Definition) -> tuple[str, ...]:
    called = (child.func for child in ast.walk(node) if isinstance(child, ast.Call))
    names = (f.id if isinstance(f, ast.Name) else f.attr for f in called if isinstance(f, ast.Name | ast.Attribute))
    return tuple(sorted(set(names)))


def _parameters(node: Definition) -> tuple[str, ...]:
    functions = _methods(node) if isinstance(node, ast.ClassDef) else [node]
    spelled = (f.args.posonlyargs + f.args.args + f.args.kwonlyargs for f in functions)
    return tuple(sorted({argument.arg for group in spelled for argument in group} - _NO_PARAMETERS))
