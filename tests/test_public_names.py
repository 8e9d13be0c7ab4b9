"""Names that users and plugins rely on."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import contrast_core

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = {
    "cache", "clustering", "continual", "cutting", "data", "diagnostics", "distributed", "embeddings", "encoders",
    "errors", "evaluation", "export", "figures", "files", "interfaces", "memories",
    "objectives", "pairs", "pairwise", "relations", "samplers", "similarity", "spec", "stepper", "tasks", "testing",
    "views",
}  # fmt: skip
"""Core modules that a plugin may import, with everything below them but pairwise, which is one module to others."""


def test_every_public_name_stays_what_it_is() -> None:
    """A name of the package is the same object the first and the second time, also after a run was imported."""
    code = (
        "import contrast_core as c\n"
        "first = {n: getattr(c, n) for n in c.__all__}\n"
        "import contrast_core.runs\n"
        "assert all(getattr(c, n) is first[n] for n in c.__all__), 'changed'\n"
        "assert all(n in dir(c) for n in c.__all__)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_import_contract_names_every_private_module() -> None:
    """Each core module is public, or forbidden to plugins by the import contract; a new one must be decided on."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = [c for c in settings["contracts"] if c["name"] == "Plugins import only public core modules"]
    forbidden = set(contract["forbidden_modules"])
    below = {m.name for m in pkgutil.iter_modules(contrast_core.__path__)} - {"__main__"}
    inner = {m.name for m in pkgutil.iter_modules(importlib.import_module("contrast_core.pairwise").__path__)}
    private = {f"contrast_core.{name}" for name in below - PUBLIC} | {f"contrast_core.pairwise.{n}" for n in inner}
    assert forbidden == private
    assert below >= PUBLIC


def test_names_of_modules_in_the_design_exist() -> None:
    """Every file that the design's picture of the core names is there, and every module of the core is named."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    picture = text.split("    contrast_core/\n")[1].split("\n\n")[0]
    for module in pkgutil.iter_modules(contrast_core.__path__):
        if module.name != "__main__":
            assert f"{module.name}{'/' if module.ispkg else '.py'}" in picture, module.name
