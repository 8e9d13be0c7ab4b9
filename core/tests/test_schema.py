"""Options of a recipe against the types of a constructor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional

import pytest
from attrs import field, frozen
from torch import nn

from contrast_core.errors import ContrastError
from contrast_core.schema import REQUIRED, Parameter, check, describe, fields_of, parameters_of

BAD: Any = object()


def checked(wanted: Any, value: Any) -> Any:
    """One value as an option of that type, or BAD."""
    try:
        given = check({"key": Parameter("key", wanted, 0)}, {"key": value}, "thing", lambda key: f"here.{key}")
    except ContrastError as error:
        assert str(error).startswith("here.key: 'key' of thing must be ")  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
        return BAD
    return given["key"]


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        (int, 3, 3),
        (int, "3", BAD),
        (int, True, BAD),
        (int, 3.0, BAD),
        (float, 3, 3.0),
        (float, True, BAD),
        (float, float("nan"), BAD),
        (float, float("inf"), float("inf")),
        (float, 10**400, BAD),
        (str, 3, BAD),
        (bool, 1, BAD),
        (bool, False, False),
        (Path, "a/b", Path("a/b")),
        (Path, 3, BAD),
        (Literal["a", "b"], "b", "b"),
        (Literal["a", "b"], "c", BAD),
        (Literal[1, 2], True, BAD),
        (Literal[1, 2], 1.0, BAD),
        (int | None, 3, 3),
        (int | None, "3", BAD),
        (Optional[str], "x", "x"),  # noqa: UP045
        (Literal["a"] | int | None, "a", "a"),
        (Literal["a"] | int | None, "b", BAD),
        (int | float, 3, 3),
        (int | str, True, BAD),
        (Sequence[int], [1, 2], (1, 2)),
        (Sequence[int], 1, BAD),
        (Sequence[int], [1, "2"], BAD),
        (Sequence[int], {"a": 1}, BAD),
        (Sequence[str], "abc", BAD),
        (Sequence[str] | None, "abc", BAD),
        (str | Sequence[str], "abc", "abc"),
        (int | Sequence[int], [3], (3,)),
        (int | Sequence[int], "3", BAD),
        (list[float], [1], [1.0]),
        (list[float], (1,), [1.0]),
        (set[str], ["a"], {"a"}),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, str], [1], BAD),
        (Sequence[Sequence[str]], [["a"], ["b", "c"]], (("a",), ("b", "c"))),
        (Sequence[Sequence[str]], ["ab"], BAD),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (Mapping[str, int], {"a": 1.5}, BAD),
        (Mapping[str, int], [1], BAD),
        (Mapping[str, Sequence[str]], {"PAP": ["p", "a"]}, {"PAP": ("p", "a")}),
        (Mapping[str, Sequence[str]], {"PAP": "pap"}, BAD),
        (dict[str, int] | None, {"a": 1}, {"a": 1}),
        (list, [1, "a"], [1, "a"]),
        (Any, {"a": [1]}, {"a": [1]}),
    ],
)
def test_a_value_has_exactly_its_type(wanted: Any, value: Any, expected: Any) -> None:
    """An integer may stand for a number; nothing else is converted, and a text is no list of letters."""
    found = checked(wanted, value)
    assert found is BAD if expected is BAD else (found == expected and type(found) is type(expected))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (int, "an integer"),
        (float | None, "a number (or left out)"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (int | Sequence[int], "an integer or a list, each an integer"),
        (tuple[int, str], "a list of 2: an integer, a text"),
        (Mapping[str, Sequence[str]], "a table of a list, each a text"),
        (Path, "a path"),
        (nn.Module, "Module"),
    ],
)
def test_types_in_words(wanted: Any, words: str) -> None:
    """As users of recipes know them."""
    assert describe(wanted) == words


def test_a_long_value_is_cut_in_the_message() -> None:
    """A message stays a line."""
    with pytest.raises(ContrastError) as error:
        check({"key": Parameter("key", int, 0)}, {"key": "x" * 999}, "thing", str)
    assert len(str(error.value)) < 160


class Part(nn.Module):
    """A part with one of each."""

    def __init__(self, size: int, *, names: Sequence[str] = ("one",)):
        super().__init__()


class Child(Part):
    """Inherits its constructor."""


class Silent(nn.Module):
    """Has none."""


@frozen
class Plan:
    """An attrs class."""

    size: int
    names: list[str] = field(factory=list)


def test_parameters_of_classes_functions_and_attrs() -> None:
    """Inherited constructors count; the one of torch.nn.Module takes nothing."""
    assert parameters_of(Part) == parameters_of(Child)
    assert parameters_of(Part)["size"] == Parameter("size", int, REQUIRED)
    assert parameters_of(Part)["names"].default == ("one",)
    assert parameters_of(Silent) == parameters_of(object) == {}
    assert parameters_of(Plan)["size"] == fields_of(Plan)["size"] == Parameter("size", int, REQUIRED)
    assert fields_of(Plan)["names"].type == list[str]
    assert parameters_of(checked).keys() == {"wanted", "value"}


def test_constructors_that_a_recipe_can_not_serve() -> None:
    """No type, only by position, or anything at all: for the plugin's author."""

    def untyped(size): ...  # type: ignore[no-untyped-def]
    def position(size: int, /): ...  # type: ignore[no-untyped-def]
    def anything(size: int, **rest: int): ...  # type: ignore[no-untyped-def]
    def unresolved(size: Nowhere): ...  # type: ignore[name-defined, no-untyped-def]  # noqa: F821

    for function, words in (
        (untyped, "The argument 'size' of .*untyped needs a type annotation"),
        (position, "position takes 'size: .*', which a recipe can't give"),
        (anything, "anything takes .*rest.*, which a recipe can't give"),
        (unresolved, "types of .*unresolved's arguments can't be resolved .*Nowhere.*outside of TYPE_CHECKING"),
    ):
        with pytest.raises(ContrastError, match=words):
            parameters_of(function)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 1, "nmes": []}, "at nmes: part has no key 'nmes'. Did you mean names?"),
        ({"size": 1, "zzz": []}, "at zzz: part has no key 'zzz'. Its keys are: names, size."),
        ({}, "at : part needs the key 'size' (an integer), which is missing."),
        ({"size": True}, "at size: 'size' of part must be an integer, not true."),
    ],
)
def test_unknown_and_missing_keys(options: dict[str, Any], sentence: str) -> None:
    """With the place, and what would be right."""
    with pytest.raises(ContrastError) as error:
        check(parameters_of(Part), options, "part", lambda key: f"at {key}")
    assert str(error.value) == sentence


def test_who_takes_nothing_says_so() -> None:
    """Instead of an empty list of keys."""
    with pytest.raises(ContrastError, match=r"part has no key 'size'\. It takes none"):
        check(parameters_of(Silent), {"size": 1}, "part", str)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"a": {"size": 1}}, None),
        ({"a": {"sise": 1}}, "at plans.a.sise: 'plans.a' of part has no key 'sise'. Did you mean size?"),
        ({"a": {"size": "x"}}, "at plans.a.size: 'size' of 'plans.a' of part must be an integer, not 'x'."),
        ({"a": {}}, "at plans.a: 'plans.a' of part needs the key 'size' (an integer), which is missing."),
        ({"a": 3}, "at plans.a: 'plans.a' of part must be a table, not 3."),
        ([1], "at plans: 'plans' of part must hold tables, not [1]."),
    ],
)
def test_tables_of_attrs_classes_are_checked_like_sections(value: Any, sentence: str | None) -> None:
    """Down to their own keys."""
    wanted = {"plans": Parameter("plans", Mapping[str, Plan], REQUIRED)}
    if sentence is None:
        assert check(wanted, {"plans": value}, "part", str) == {"plans": {"a": Plan(1)}}
        return
    with pytest.raises(ContrastError) as error:
        check(wanted, {"plans": value}, "part", lambda key: f"at {key}")
    assert str(error.value) == sentence
