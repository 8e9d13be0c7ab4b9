"""What a component looks like, read from its source text: signature, documentation. Nothing is imported, so no torch."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from contrast_core.errors import ContrastError
from contrast_core.spec import Component


class Argument(NamedTuple):
    """One constructor argument as it is written."""

    name: str
    annotation: str
    default: str


class Description(NamedTuple):
    """A component's constructor arguments, its documentation, and what it needs and gives if that is fixed."""

    arguments: list[Argument]
    documentation: str
    needs: str
    gives: str


def describe(component: Component) -> Description:
    """Read a component's class from its module's source.

    Raises:
        ContrastError: if the module or the class is not there.
    """
    module, _, name = component.target.partition(":")
    path = _source(module)
    if path is None:
        raise ContrastError(
            f"The module {module} of {component.name} can't be found: is its distribution complete?"
        )
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = next(
        (n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name), None
    )
    if found is None:
        raise ContrastError(f"{module} defines no '{name}', which {component.name} names as its class.")
    owner, constructor = _constructor(found, tree)
    arguments = _arguments(constructor) if constructor else _fields(found)
    notes = {
        name: _attribute(found, name) or _attribute(constructor, f"self.{name}")
        for name in ("needs", "gives")
    }
    texts = dict.fromkeys(ast.get_docstring(node) or "" for node in (found, owner))
    return Description(arguments, "\n\n".join(filter(None, texts)), notes["needs"], notes["gives"])


Definition = ast.ClassDef | ast.FunctionDef


def _constructor(found: Definition, tree: ast.Module) -> tuple[Definition, ast.FunctionDef | None]:
    """The definition that has the constructor, a class of the same module that `found` extends included, and it."""
    if isinstance(found, ast.FunctionDef):
        return found, found
    own = next((n for n in found.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if own:
        return found, own
    classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    for base in found.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            owner, constructor = _constructor(classes[base.id], tree)
            if constructor:
                return owner, constructor
    return found, None


def _source(module: str) -> Path | None:
    # find_spec imports the parent packages of a dotted name; walking from the top-level package imports nothing.
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for root in spec.submodule_search_locations or ():
        base = Path(root, *rest)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _arguments(function: ast.FunctionDef) -> list[Argument]:
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    pairs = [*zip(plain, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [_argument(a.arg, a.annotation, d) for a, d in pairs if a.arg not in ("self", "cls")]


def _fields(found: ast.AST) -> list[Argument]:
    """The fields of an attrs or data class."""
    body = found.body if isinstance(found, ast.ClassDef) else []
    return [_argument(n.target.id, n.annotation, n.value) for n in body
            if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]  # fmt: skip


def _argument(name: str, annotation: ast.expr | None, default: ast.expr | None) -> Argument:
    return Argument(
        name, ast.unparse(annotation) if annotation else "", ast.unparse(default) if default else ""
    )


def _attribute(found: ast.AST | None, name: str) -> str:
    """The expression that an attribute is set to, in a class body or as `self.name = ...` in a method."""
    for node in ast.walk(found) if found else ():
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = (
                    zip(target.elts, node.value.elts, strict=False)
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                    else [(target, node.value)]
                )
                for one, value in pairs:
                    if ast.unparse(one) == name:
                        return ast.unparse(value)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name and node.value:
            return ast.unparse(node.value)
    return ""
