"""Numbers that make no sense: a clear refusal, or a use that works."""

from __future__ import annotations

import types
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Union, get_args, get_origin

import torch

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Part
from contrast_core.recipe import Recipe
from contrast_core.schema import parameters_of
from contrast_core.tables import put
from contrast_core.testing.bench import Bench
from contrast_core.testing.checks import at_work
from contrast_core.testing.examples import Example
from contrast_core.testing.outcome import Skip, Violation

TRIED: dict[type, tuple[Any, ...]] = {int: (-1, 0), float: (-1.0, 0.0, float("inf"))}


@at_work
def numbers_that_make_no_sense(bench: Bench) -> None:
    """Given -1, 0 or infinity for a number, it works or says in one sentence what is wrong; it never breaks or lies."""
    example = bench.example
    tried = list(_options(example))
    if not tried:
        raise Skip("it takes no number.")
    for key, value in tried:
        changed = _with(example, key, value)
        other = Bench(changed, bench.session)
        try:
            _use(other)
        except (ContrastError, ValueError) as error:
            if len(str(error)) < 15:
                raise Violation(f"{key} = {value} is refused, but only with the words '{error}'.") from error
        except NotImplementedError:
            raise
        except Exception as error:
            raise Violation(
                f"{key} = {value} ends in {type(error).__name__}: {' '.join(str(error).split())[:200]}; raise "
                "ValueError with a sentence that names the option."
            ) from error


def _options(example: Example) -> Iterator[tuple[str, Any]]:
    for name, parameter in parameters_of(example.component.load()).items():
        wanted = parameter.type
        choices = get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
        for kind, values in TRIED.items():
            if kind in choices:
                yield from ((name, value) for value in values)


def _with(example: Example, key: str, value: Any) -> Example:
    tree = deepcopy(dict(example.recipe.tree))
    put(tree, f"{example.path}.{key}", value)
    changed = Recipe(tree, example.recipe.source, example.recipe.folder)
    return Example(example.component, changed, example.path, example.origin)


def _use(bench: Bench) -> None:
    """Build it and, where that is cheap, use it once."""
    composition, part = bench.composition()
    if isinstance(part, Part) and not composition.data.whole:
        with torch.no_grad():
            composition.pipeline.eval().terms(composition.pipeline(bench.batch()))
