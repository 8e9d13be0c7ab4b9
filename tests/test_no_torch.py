"""Looking at what is installed never imports torch, nor anything else that takes long."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
    "torch_geometric",
    "accelerate",
    "pandas",
    "contrast_core.runs",
)
CHECK = f"\nimport sys; print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"


def imported(code: str) -> str:
    """Which heavy modules a fresh interpreter has after the code; what the code prints is dropped."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CONTRAST_")}
    done = subprocess.run(
        [sys.executable, "-c", code + CHECK], capture_output=True, text=True, env=environment, check=False
    )
    return done.stderr.strip()


def test_looking_imports_nothing_heavy() -> None:
    """All commands that look, one after the other in one interpreter."""
    commands = [
        ["--help"], ["run", "--help"], ["new", "--help"], ["check", "--help"],
        ["--version"], ["list"], ["list", "objective"], ["plugins"],
        ["plugins", "--json"], ["doctor"], ["show", "graph/meow"], ["show", "core/infonce"],
        ["show", "graph/metapath-encoder"],
    ]  # fmt: skip
    code = f"""
from contrast_core.cli import main
for arguments in {commands}:
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, arguments
"""
    assert imported(code) == "[]"


@pytest.mark.parametrize(
    "names", ["contrast_core", "contrast_core.recipe contrast_core.runfolder contrast_graph.manifest"]
)
def test_importing_what_only_reads_imports_nothing_heavy(names: str) -> None:
    """The package itself, recipes, registry and run folders."""
    everything = names.split() + (
        [
            f"contrast_core.{n}"
            for n in ("registry", "describe", "schema", "spec", "files", "catalogue", "errors", "cli.look")
        ]
        if names != "contrast_core"
        else []
    )
    code = "\n".join(f"import {name}" for name in everything)
    assert imported(code + "\nassert dir(contrast_core)") == "[]"


def test_a_name_of_the_package_is_loaded_when_it_is_used() -> None:
    """And only then; an unknown one is an ordinary AttributeError."""
    code = """
import contrast_core
assert contrast_core.load_recipe and contrast_core.ContrastError and not hasattr(contrast_core, "nonsense")
"""
    assert imported(code) == "[]"
