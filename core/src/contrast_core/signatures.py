"""What of a component's constructor can't be true or can't be set in a recipe, read from its source: no torch.

What is doubtful is let pass: a default that is no literal, a type that is not one of Python's own, a base class that
can't be found.
"""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

from contrast_core.describe import Located, Written, field_options, fields, locate, parameters
from contrast_core.errors import did_you_mean
from contrast_core.spec import Component


def flaws(component: Component) -> list[str]:
    """A sentence for everything that is wrong with the arguments of a component, which says what would be right.

    Raises:
        ContrastError: if the component's source is not there.
    """
    located = locate(component)
    constructor = located.constructor
    if constructor is None:
        written = fields(located.found)
        return [s for field in written for s in _default(field)] + (_documented(located, written) if written else [])
    written = parameters(constructor)
    positional = {a.arg for a in constructor.args.posonlyargs}
    found = _stars(located, written)
    for name, annotation, default in written:
        if name in positional:
            found.append(f"Its argument '{name}' is positional-only, which a recipe can't give: take the '/' away.")
        if annotation is None:
            kind = _kind(default)
            found.append(f"Its argument '{name}' has no type: write {name}: {kind}, or whatever it is.")
        found += _default((name, annotation, default))
    return found + _documented(located, written)


def _stars(located: Located, written: list[Written]) -> list[str]:
    assert located.constructor is not None
    given = located.constructor.args
    if located.owner is not located.found and not written:
        # An inherited constructor that passes everything on, as torch.nn.Module's: it takes nothing.
        return []
    stars = [f"*{given.vararg.arg}"] if given.vararg else []
    stars += [f"**{given.kwarg.arg}"] if given.kwarg else []
    return [f"Its '{star}' is nothing that a recipe can give: name the arguments, with types." for star in stars]


def _kind(default: ast.expr | None) -> str:
    """A type that fits a default, as an example."""
    value = default.value if isinstance(default, ast.Constant) else None
    return "int" if value is None or value is ... else type(value).__name__


def _default(argument: Written) -> list[str]:
    name, annotation, default = argument
    options = field_options(default)
    if options is not None:
        default = None if "converter" in options else options.get("default")
    try:
        value = ast.literal_eval(default) if default else ...
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return []
    if annotation is None or value is ... or _fits(annotation, value):
        return []
    wanted = ast.unparse(annotation).strip("'")
    right = f"write {name}: {wanted} | None = None" if value is None else "give it one of that type"
    return [f"The default {ast.unparse(default or annotation)} of its argument '{name}' is no {wanted}: {right}."]


_PLAIN: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "bytes": (bytes,),
    "list": (list,),
    "List": (list,),
    "tuple": (tuple,),
    "Tuple": (tuple,),
    "dict": (dict,),
    "Dict": (dict,),
    "Mapping": (dict,),
    "set": (set,),
    "frozenset": (),
    "Path": (),
    "Sequence": (list, tuple, str, bytes),
    "Collection": (list, tuple, set, dict, str, bytes),
    "Iterable": (list, tuple, set, dict, str, bytes),
}
"""Which literals are of a type; those of any other may be."""


def _fits(wanted: ast.expr, value: Any) -> bool:
    """Whether a literal may be of a type as it is written."""
    if isinstance(wanted, ast.Constant):
        if isinstance(wanted.value, str):
            try:
                return _fits(ast.parse(wanted.value, mode="eval").body, value)
            except SyntaxError:
                return True
        return wanted.value is not None or value is None
    if isinstance(wanted, ast.BinOp):
        return _fits(wanted.left, value) or _fits(wanted.right, value)
    if isinstance(wanted, ast.Subscript):
        inner = wanted.slice.elts if isinstance(wanted.slice, ast.Tuple) else [wanted.slice]
        return _fits_subscript(_name(wanted.value), wanted.value, inner, value)
    kinds = _PLAIN.get(_name(wanted))
    return kinds is None or isinstance(value, kinds)


def _fits_subscript(name: str, plain: ast.expr, inner: list[ast.expr], value: Any) -> bool:
    if name == "Literal":
        return any(_same(choice, value) for choice in inner)
    if name in ("Union", "Optional"):
        return (name == "Optional" and value is None) or any(_fits(choice, value) for choice in inner)
    if name in ("Annotated", "Final"):
        return _fits(inner[0], value)
    if name not in _PLAIN or not _fits(plain, value):
        return name not in _PLAIN
    if isinstance(value, dict):
        return len(inner) < 2 or all(_fits(inner[0], k) and _fits(inner[1], v) for k, v in value.items())
    if isinstance(value, str | bytes):
        return True
    if isinstance(value, tuple) and name in ("tuple", "Tuple") and "..." not in map(ast.unparse, inner):
        return len(inner) == len(value) and all(map(_fits, inner, value))
    return all(_fits(inner[0], item) for item in value)


def _same(choice: ast.expr, value: Any) -> bool:
    try:
        one = ast.literal_eval(choice)
    except ValueError:
        # A member of an enumeration.
        return True
    return type(one) is type(value) and bool(one == value)


def _name(wanted: ast.expr) -> str:
    if isinstance(wanted, ast.Name):
        return wanted.id
    # typing.Optional; but torch.float is no float.
    return wanted.attr if isinstance(wanted, ast.Attribute) and wanted.attr[:1].isupper() else ""


_ENTRY = re.compile(r"(?P<names>`?\*{0,2}\w+`?(?:\s*(?:,|\band\b)\s*`?\*{0,2}\w+`?)*)(?:\s*\([^)]*\))?\s*:(?:\s|$)")


def _documented(located: Located, written: list[Written]) -> list[str]:
    """Names under `Args:` in the documentation that are no arguments."""
    found, owner, constructor = located
    known = {name for name, _, _ in written}
    if constructor:
        known |= {star.arg for star in (constructor.args.vararg, constructor.args.kwarg) if star}
    elif isinstance(found, ast.ClassDef) and found.bases:
        # A class that it extends may bring more fields.
        return []
    texts = dict.fromkeys(ast.get_docstring(node) or "" for node in (found, owner, constructor) if node)
    names = dict.fromkeys(name for text in texts for name in _listed(text))
    return [
        f"Its documentation names an argument '{name}', which it does not have."
        + (did_you_mean(name, known) or " Take it out, or add it.")
        for name in names
        if name not in known
    ]


def _listed(text: str) -> list[str]:
    names: list[str] = []
    lines = inspect.cleandoc(text).splitlines()
    starts = [n for n, line in enumerate(lines) if re.fullmatch(r"(Args|Arguments):\s*", line)]
    for start in starts:
        entry = None
        for line in lines[start + 1 :]:
            depth = len(line) - len(line.lstrip())
            if line.strip() and not depth:
                break
            entry = depth if entry is None and line.strip() else entry
            match = _ENTRY.match(line.strip()) if depth == entry else None
            if match:
                names += re.findall(r"\w+", re.sub(r"\band\b", ",", match["names"]))
    return names
