"""What a component looks like, read from its source text: signature and documentation. It is not imported: no torch."""

from __future__ import annotations

import ast
from functools import cache
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


Definition = ast.ClassDef | ast.FunctionDef


class Located(NamedTuple):
    """A component's definition; the one that has its constructor, itself or a class it extends; and the constructor.

    There is no constructor where none was found or where a decorator makes it of the fields.
    """

    found: Definition
    owner: Definition
    constructor: ast.FunctionDef | None


def describe(component: Component) -> Description:
    """Read a component's class from its module's source.

    Raises:
        ContrastError: if the module or the class is not there.
    """
    found, owner, constructor = locate(component)
    arguments = [argument(*written) for written in (parameters(constructor) if constructor else fields(found))]
    notes = {key: _attribute(found, key) or _attribute(constructor, f"self.{key}") for key in ("needs", "gives")}
    texts = dict.fromkeys(ast.get_docstring(node) or "" for node in (found, owner))
    return Description(arguments, "\n\n".join(filter(None, texts)), notes["needs"], notes["gives"])


def locate(component: Component) -> Located:
    """Find the definition of a component's class or function; raises like `describe`."""
    module, _, name = component.target.partition(":")
    home = _read(module)
    if home is None:
        raise ContrastError(f"The module {module} of {component.name} can't be found: is its distribution complete?")
    lookup = _lookup(home, name)
    if lookup is None:
        raise ContrastError(f"{module} defines no '{name}', which {component.name} names as its class.")
    found, home = lookup
    return Located(found, *_constructor(found, home))


class _Module(NamedTuple):
    """A module's source text, parsed, and its dotted name."""

    name: str
    package: bool
    tree: ast.Module

    def absolute(self, relative: ast.ImportFrom) -> str:
        """The name of the module that a `from ... import` names."""
        if not relative.level:
            return relative.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - relative.level + self.package]
        return ".".join([*parts, relative.module] if relative.module else parts)


def _read(module: str) -> _Module | None:
    path = source_of(module)
    if path is None:
        return None
    try:
        return _Module(module, path.stem == "__init__", _parsed(path))
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError) as error:
        raise ContrastError(f"The source of {module} can't be read: {' '.join(str(error).split())}") from error


@cache
def _parsed(path: Path) -> ast.Module:
    # Components share modules and base classes; `doctor` looks at all of them.
    return ast.parse(path.read_text(encoding="utf-8"))


def _lookup(home: _Module, name: str, hops: int = 4) -> tuple[Definition, _Module] | None:
    """The definition of a name in a module, or where the module imports it from, within the same distribution."""
    for node in home.tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node, home
    for node in home.tree.body:
        if isinstance(node, ast.ImportFrom) and hops:
            original = next((alias.name for alias in node.names if (alias.asname or alias.name) == name), None)
            if original:
                other = _read(home.absolute(node))
                return _lookup(other, original, hops - 1) if other else None
    return None


def _constructor(found: Definition, home: _Module, hops: int = 16) -> tuple[Definition, ast.FunctionDef | None]:
    """The definition that has the constructor, a class that `found` extends included, and it."""
    if isinstance(found, ast.FunctionDef):
        return found, found
    own = next((n for n in found.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if own or _generates_constructor(found):
        return found, own
    for base in found.bases:
        # Names are looked up, not followed as Python would: a class may seem to extend itself.
        if isinstance(base, ast.Name) and hops and (there := _lookup(home, base.id)):
            owner, constructor = _constructor(*there, hops - 1)
            if constructor:
                return owner, constructor
    return found, None


def _generates_constructor(found: ast.ClassDef) -> bool:
    """Whether a class of attrs or dataclasses makes its constructor of its fields."""
    names = {ast.unparse(d.func if isinstance(d, ast.Call) else d).rpartition(".")[2] for d in found.decorator_list}
    return bool(names & {"define", "frozen", "mutable", "s", "attrs", "attributes", "dataclass"})


def source_of(module: str) -> Path | None:
    """The source file of a module, found without importing anything; None if there is none."""
    # find_spec imports the parent packages of a dotted name; walking from the top-level package imports nothing.
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for root in spec.submodule_search_locations or ():
        base = Path(root, *rest)
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                return path
    return None


Written = tuple[str, ast.expr | None, ast.expr | None]
"""An argument's name, annotation and default."""


def parameters(function: ast.FunctionDef) -> list[Written]:
    """The arguments of a constructor or function, but those with stars and the object itself."""
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    pairs = [*zip(plain, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [(a.arg, a.annotation, d) for a, d in pairs if a.arg not in ("self", "cls")]


def fields(found: Definition) -> list[Written]:
    """The fields of an attrs or data class that are arguments of its constructor; none if it is another class."""
    if not isinstance(found, ast.ClassDef) or not _generates_constructor(found):
        return []
    annotated = [n for n in found.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    return [
        (ast.unparse(n.target), n.annotation, n.value)
        for n in annotated
        if not ast.unparse(n.annotation).rpartition(".")[2].startswith("ClassVar")
        and ast.unparse((field_options(n.value) or {}).get("init", ast.Constant(True))) != "False"
    ]


def field_options(value: ast.expr | None) -> dict[str | None, ast.expr] | None:
    """What a call of attrs' or dataclasses' `field` is given; None if a value is no such call."""
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in ("field", "ib"):
        return {keyword.arg: keyword.value for keyword in value.keywords}
    return None


def argument(name: str, annotation: ast.expr | None, default: ast.expr | None) -> Argument:
    """An argument as text."""
    if (options := field_options(default)) is not None:
        made = options.get("factory") or options.get("default_factory")
        default = ast.Call(made, [], []) if made else options.get("default")
    return Argument(name, ast.unparse(annotation) if annotation else "", ast.unparse(default) if default else "")


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
