"""Reading classes from their source, without importing anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from contrast_core.describe import Argument, describe
from contrast_core.errors import ContrastError
from contrast_core.spec import Component

BASE = '''
import no_such_library
class Far:
    """What the base does."""
    def __init__(self, far: int = 3): ...
'''
PARTS = '''
from typing import ClassVar
import attrs
from attrs import field, frozen
from .base import Far
from describe_me import base as whatever

class Plain(Far):
    """What it does."""
    gives: tuple[str, ...] = ("one", "two")
    note: str = "not an argument"
    def __init__(self, size: int, *, name: "str | None" = None, untyped=1):
        """Not shown."""
        self.needs, self.other = (name, "sample"), 2

class Near(Plain):
    """What the child does."""

class Child(Far):
    """Inherits from another module."""

class Bare:
    """Nothing to set."""
    note: int = 3

@frozen
class Fields(Bare):
    """Made by attrs."""
    a: int
    b: float = 0.5
    c: list[int] = field(factory=list)
    d: int = attrs.field(default=4, converter=int)
    e: str = field(kw_only=True)
    inner: int = field(default=0, init=False)
    shared: ClassVar[int] = 1

class Circle(Circle):
    """Seems to extend itself."""

def function(power: float = 2.0):
    """A factory."""
'''


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that can't be imported."""
    folder = tmp_path / "describe_me"
    folder.mkdir()
    (folder / "__init__.py").write_text("from describe_me.parts import Plain as Renamed\nraise RuntimeError\n")
    (folder / "base.py").write_text(BASE)
    (folder / "parts.py").write_text(PARTS)
    (folder / "damaged.py").write_text("class X(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def of(target: str) -> Component:
    """A component of that class."""
    return Component("data", "mine/x", target, "")


def test_arguments_documentation_needs_and_gives() -> None:
    """As they are written; nothing is imported for it."""
    found = describe(of("describe_me.parts:Plain"))
    assert found.arguments == [
        Argument("size", "int", ""),
        Argument("name", "'str | None'", "None"),
        Argument("untyped", "", "1"),
    ]
    assert (found.documentation, found.needs, found.gives) == ("What it does.", "(name, 'sample')", "('one', 'two')")
    assert "describe_me" not in sys.modules


def test_a_name_that_the_package_imports_from_its_module() -> None:
    """The target may be where users import it from."""
    assert [a.name for a in describe(of("describe_me:Renamed")).arguments] == ["size", "name", "untyped"]


@pytest.mark.parametrize(("name", "base"), [("Near", "What it does."), ("Child", "What the base does.")])
def test_an_inherited_constructor(name: str, base: str) -> None:
    """From the same module or another one; the documentation of its class comes after one's own."""
    found = describe(of(f"describe_me.parts:{name}"))
    assert [a.name for a in found.arguments] == (["far"] if name == "Child" else ["size", "name", "untyped"])
    assert found.documentation.endswith(f"\n\n{base}")


def test_fields_functions_and_classes_without_arguments() -> None:
    """Annotated attributes are arguments only where a decorator makes a constructor of them."""
    fields = describe(of("describe_me.parts:Fields")).arguments
    assert [(a.name, a.default) for a in fields] == [("a", ""), ("b", "0.5"), ("c", "list()"), ("d", "4"), ("e", "")]
    assert describe(of("describe_me.parts:Bare")).arguments == []
    assert describe(of("describe_me.parts:Circle")).arguments == []
    assert describe(of("describe_me.parts:function")).arguments == [Argument("power", "float", "2.0")]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("describe_me.parts:Nothing", "describe_me.parts defines no 'Nothing', which mine/x names as its class."),
        ("describe_me.lost:X", "The module describe_me.lost of mine/x can't be found"),
        ("no_such_package:X", "The module no_such_package of mine/x can't be found"),
        ("sys:X", "The module sys of mine/x can't be found"),
        ("describe_me.damaged:X", "The source of describe_me.damaged can't be read: invalid syntax"),
    ],
)
def test_what_is_not_there(target: str, sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(ContrastError) as error:
        describe(of(target))
    assert sentence in str(error.value)
