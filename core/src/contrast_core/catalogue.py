"""The catalogue of first-party plugins, registry.toml: what exists, even where it is not installed."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def entries() -> tuple[dict[str, Any], ...]:
    """The `[[plugin]]` tables of registry.toml."""
    text = files("contrast_core").joinpath("registry.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["plugin"])


def provider_of(name: str) -> str | None:
    """The distribution that carries a component, recipe or domain of that name, installed or not."""
    for entry in entries():
        names = {*entry.get("components", ()), *entry.get("recipes", ())}
        tails = {n.rpartition("/")[2] for n in names}
        if name in names or name in tails or name.partition("/")[0] == entry["domain"]:
            return str(entry["distribution"])
    return None
