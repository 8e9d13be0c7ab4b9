"""A constructor that can't be true, or can't be set in a recipe, is found in its source."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contrast_core.errors import ContrastError
from contrast_core.signatures import flaws
from contrast_core.spec import Component

Told = Callable[[str], list[str]]
HEAD = "import no_such_library, attrs, typing\nfrom pathlib import Path\nfrom typing import *\n"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """told(source): what is said about the class X in a module of that source, which can't be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def say(source: str) -> list[str]:
        module = f"signed_{len(list(tmp_path.iterdir()))}"
        (tmp_path / f"{module}.py").write_text(HEAD + source)
        return flaws(Component("data", "mine/x", f"{module}:X", ""))

    yield say
    assert "no_such_library" not in sys.modules


def constructor(arguments: str, documentation: str = "A part.") -> str:
    """A class whose constructor has these arguments."""
    return f'class X:\n    """{documentation}"""\n    def __init__(self, {arguments}): ...\n'


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("size", "Its argument 'size' has no type: write size: int, or whatever it is."),
        ("size=0.5", "Its argument 'size' has no type: write size: float, or whatever it is."),
        ("*sizes: int", "Its '*sizes' is nothing that a recipe can give: name the arguments, with types."),
        ("**options", "Its '**options' is nothing that a recipe can give: name the arguments, with types."),
        ("size: int, /", "Its argument 'size' is positional-only, which a recipe can't give: take the '/' away."),
        ("size: int = 'many'", "The default 'many' of its argument 'size' is no int: give it one of that type."),
        ("margin: float = None", "of its argument 'margin' is no float: write margin: float | None = None."),
        ("margin: 'float' = None", "of its argument 'margin' is no float: write margin: float | None = None."),
        ("size: int = 0.5", "The default 0.5 of its argument 'size' is no int: "),
        ("names: list[str] = None", "is no list[str]: write names: list[str] | None = None."),
        ("names: Sequence[str] = ('a', 1)", "The default ('a', 1) of its argument 'names' is no Sequence[str]"),
        ("pair: tuple[int, int] = (1,)", "The default (1,) of its argument 'pair' is no tuple[int, int]"),
        ("table: dict[str, int] = {'a': 'b'}", "is no dict[str, int]"),
        ("kind: Literal['a', 'b'] = 'c'", "The default 'c' of its argument 'kind' is no Literal['a', 'b']"),
        ("kind: Literal[1] = True", "The default True of its argument 'kind' is no Literal[1]"),
        ("size: int | str = 0.5", "The default 0.5 of its argument 'size' is no int | str"),
        ("size: typing.Optional[int] = 'x'", "The default 'x' of its argument 'size' is no typing.Optional[int]"),
        ("path: Path = 'x.csv'", "The default 'x.csv' of its argument 'path' is no Path: give it one of that type."),
    ],
)
def test_what_a_constructor_lies_about(told: Told, arguments: str, sentence: str) -> None:
    """One sentence, which names the argument and says what would be right."""
    (found,) = told(constructor(arguments))
    assert sentence in found


@pytest.mark.parametrize(
    "arguments",
    [
        "", "*, size: int = 3", "margin: float = 1", "size: int = True", "size: int | None = None",
        "size: Optional[int] = None", "size: Union[int, None] = None", "size: None = None", "x: Any = 'x'",
        "x: Unknown = 3", "x: Unknown | int = 'x'", "x: torch.float = 'x'", "x: int = LIMIT", "x: int = 2 ** 3",
        "x: int = ...", "names: Sequence[str] = ()", "names: list[str] = ['a']", "names: Iterable[str] = 'abc'",
        "pair: tuple[int, float] = (1, 0.5)", "many: tuple[int, ...] = (1, 2, 3)", "none: tuple[()] = ()",
        "table: Mapping[str, Unknown] = {'a': 3}", "kind: Literal['a', -1, Kind.A] = -1", "x: 'not a type (' = 3",
        "x: Annotated[int, 'doc'] = 3", "x: list = [1]", "x: collections.abc.Sequence[int] = [1]",
    ],
)  # fmt: skip
def test_what_an_honest_constructor_may_say(told: Told, arguments: str) -> None:
    """What can't be told from the text is let pass."""
    assert told(constructor(arguments)) == []


def test_every_flaw_is_told(told: Told) -> None:
    """What has stars first, then in the order of the arguments."""
    found = told(constructor("a, b: int = 'x', *rest, c=3"))
    assert all(name in sentence for name, sentence in zip(("'*rest'", "'a'", "'b'", "'c'"), found, strict=True))


DOCUMENTED = """A part.

    Args:
        size: how large, and this: is prose.
            other: is prose too.
        rate, `steps` (int): two at once; more: prose.
        NAME: the one in question.

    Raises:
        ValueError: never.
    """


@pytest.mark.parametrize(("name", "hint"), [("stepz", "Did you mean steps?"), ("zzz", "Take it out, or add it.")])
def test_an_argument_that_is_only_documented(told: Told, name: str, hint: str) -> None:
    """Found under Args, in the class or in its constructor."""
    arguments = "size: int, rate: float, steps: int"
    (found,) = told(constructor(arguments, DOCUMENTED.replace("NAME", name)))
    assert found == f"Its documentation names an argument '{name}', which it does not have. {hint}"
    assert told(constructor(arguments, DOCUMENTED.replace("NAME", "size"))) == []
    inner = constructor(arguments).replace("...", f'"""{DOCUMENTED.replace("NAME", name)}"""')
    assert told(inner) == [found]


def test_classes_made_of_fields(told: Told) -> None:
    """A converter may make anything of a default; a field that is no argument needs none."""
    wrong_a, wrong_b, lost = told(
        "@attrs.frozen\nclass X:\n"
        '    """A part.\n\n    Args:\n        a: one.\n        lost: gone.\n    """\n'
        "    a: int = 'x'\n    b: int = attrs.field(default=None)\n"
        "    c: int = attrs.field(default='3', converter=int)\n"
        "    d: list[int] = attrs.field(factory=list)\n    e: int = attrs.field(default=None, init=False)\n"
        "    f: ClassVar[int] = None\n"
    )
    assert "of its argument 'a' is no int: give it" in wrong_a
    assert "of its argument 'b' is no int: write b: int | None = None." in wrong_b
    assert "'lost', which it does not have" in lost


def test_inherited_constructors_and_functions(told: Told) -> None:
    """One that only passes on takes nothing, like torch's; a class may bear its base's name."""
    base = "class Base:\n    def __init__(self, *args, **kwargs): ...\n"
    assert told(f"{base}class X(Base):\n    pass\n") == []
    assert told("from contrast_core.interfaces import View as X\nclass X(X):\n    pass\n") == []
    assert told("class X(Y): ...\nclass Y(X): ...\n") == []
    assert len(told("def X(self_size, **more): ...\n")) == 2


def test_a_class_that_is_not_there(told: Told) -> None:
    """As when it is described."""
    with pytest.raises(ContrastError, match="defines no 'X', which mine/x names as its class"):
        told("x = 1\n")
