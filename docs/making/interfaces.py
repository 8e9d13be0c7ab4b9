"""What an interface asks for, as its source says it: attributes and signatures, each with its first sentence."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

PLACE = re.compile(r"<!-- interface (\w+) -->\n.*?<!-- end of interface -->", re.DOTALL)
SOURCE = Path(__file__).resolve().parent.parent.parent / "core" / "src" / "contrast_core" / "interfaces.py"
WIDE = 100


def with_interfaces(page: str) -> str:
    """A page whose `<!-- interface NAME -->` hold what the source says today."""

    def fresh(found: re.Match[str]) -> str:
        shown = f"```py\n{interface(found[1])}\n```"
        return f"<!-- interface {found[1]} -->\n{shown}\n<!-- end of interface -->"

    return PLACE.sub(fresh, page)


def interface(name: str) -> str:
    """A class as a reader has to write it, without bodies."""
    node = _classes()[name]
    lines = [f"class {name}({', '.join(map(ast.unparse, node.bases))}):" if node.bases else f"class {name}:"]
    for at, item in enumerate(node.body):
        if isinstance(item, ast.AnnAssign):
            said = _text(node.body[at + 1]) if at + 1 < len(node.body) else ""
            lines += [*_comment(said), "    " + ast.unparse(item).replace("'", '"')]
        elif isinstance(item, ast.FunctionDef):
            said = "" if item.name == "__init__" else (ast.get_docstring(item) or "").splitlines()[0]
            lines += [
                *_gap(lines),
                *_comment(said),
                *(f"    @{ast.unparse(each)}" for each in item.decorator_list),
                *_signature(item),
            ]
    return "\n".join(lines)


@cache
def _classes() -> dict[str, ast.ClassDef]:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _signature(item: ast.FunctionDef) -> list[str]:
    returns = f" -> {ast.unparse(item.returns)}" if item.returns else ""
    line = f"    def {item.name}({ast.unparse(item.args)}){returns}: ..."
    if len(line) <= WIDE:
        return [line]
    return [f"    def {item.name}(", f"        {ast.unparse(item.args)}", f"    ){returns}: ..."]


def _gap(lines: list[str]) -> list[str]:
    """As a formatter has it: a blank line between attributes and methods."""
    last = lines[-1]
    return [] if last.endswith("...") or last.startswith("class ") else [""]


def _text(node: ast.stmt) -> str:
    found = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""
    return str(found).split("\n\n")[0].replace("\n", " ")


def _comment(text: str) -> list[str]:
    return [f"    # {re.sub(' +', ' ', text)}"] if text else []
