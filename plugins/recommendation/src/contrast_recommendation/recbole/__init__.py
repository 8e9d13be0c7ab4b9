"""RecBole and contrast together: recipes that RecBole's trainer trains, data that either reads.

``compatibility`` lets RecBole 1.2 run with today's numpy, scipy and torch; ``model`` is a pipeline as a RecBole model,
``running`` does what RecBole's `run_recbole` does; ``files`` writes interactions as RecBole reads them. Nothing of
RecBole is imported before one of them is.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["prepare", "repaired", "run", "write_atomic"]

_HOME = {"repaired": "compatibility", "run": "running", "prepare": "running", "write_atomic": "files"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
