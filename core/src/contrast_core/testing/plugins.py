"""Checks of a plugin as a whole and of its recipes."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from contrast_core.compose import compose
from contrast_core.errors import ContrastError
from contrast_core.loading import HEAVY
from contrast_core.recipe import load_recipe
from contrast_core.registry import Plugin, Registry
from contrast_core.spec import RecipeFile
from contrast_core.testing.checks import Check
from contrast_core.testing.outcome import Skip, Violation

_MANIFEST = """
import sys
sys.modules["contrast_core.runs"] = None
from contrast_core.registry import discover
plugin = next(p for p in discover().plugins if p.name == {name!r})
import json
print(json.dumps([plugin.problem, [name for name in {heavy!r} if name in sys.modules]]))
"""
_STATE = """
import json, locale, logging, os, random, sys, warnings
import numpy, sklearn.datasets, torch
import contrast_core.runs, contrast_core.testing.checks.objectives
from importlib import import_module

def state():
    return {{
        "torch's default type": str(torch.get_default_dtype()),
        "torch's number of threads": torch.get_num_threads(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's determinism": [torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark],
        "torch's random generator": torch.get_rng_state().tolist(),
        "numpy's random generator": numpy.random.get_state()[1].tolist(),
        "Python's random generator": str(random.getstate()),
        "numpy's error handling": numpy.geterr(),
        "the level of the root logger": [logging.root.level, len(logging.root.handlers)],
        "the working folder": os.getcwd(),
        "the locale": locale.setlocale(locale.LC_ALL),
    }}

before = state()
for module in {modules!r}:
    import_module(module)
after = state()
print(json.dumps([name for name in before if before[name] != after[name]]))
"""


def _python(code: str) -> list[object]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Violation(f"A fresh interpreter fails: {' '.join(done.stderr.split())[-300:]}")
    found: list[object] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def lazy_manifest(plugin: Plugin) -> None:
    """In a fresh interpreter its manifest loads and imports nothing heavy, neither torch nor numpy."""
    problem, heavy = _python(_MANIFEST.format(name=plugin.name, heavy=(*HEAVY, "numpy")))
    if problem:
        raise Violation(f"In a fresh interpreter it is broken: {problem}")
    if isinstance(heavy, list) and heavy:
        raise Violation(f"Its manifest imports {', '.join(heavy)}; a manifest imports contrast_core.spec alone.")


def importing_changes_nothing(plugin: Plugin) -> None:
    """Importing all its modules changes no global state: generators, default type, threads, logging, locale."""
    assert plugin.manifest is not None
    modules = sorted({component.target.partition(":")[0] for component in plugin.manifest.components})
    if changed := _python(_STATE.format(modules=modules)):
        raise Violation(f"Importing its modules changes {', '.join(map(str, changed))}.")


def composes(recipe: tuple[RecipeFile, Registry]) -> None:
    """It has its registered name, says what it is, and its parts fit; one that needs a file says which setting."""
    spec, registry = recipe
    try:
        found = load_recipe(spec.locate())
    except ContrastError as error:
        raise Violation(str(error)) from error
    if found.name != spec.name:
        raise Violation(f"It is registered as '{spec.name}' but calls itself '{found.name}'.")
    if not (found.about("title") and found.about("summary")):
        raise Violation("Its [recipe] must have a title and a summary.")
    for _, stage in found.stages():
        try:
            compose(stage, registry)
        except ContrastError as error:
            if re.search(r"--set (data|encoder)[\w.]*\.\w+=", str(error)):
                raise Skip("it asks for a file of one's own, and says how to name it.") from error
            raise Violation(str(error)) from error


PLUGIN = (
    Check("lazy-manifest", lazy_manifest, True),
    Check("importing-changes-nothing", importing_changes_nothing, True),
)
RECIPE = (Check("composes", composes, static=True),)
