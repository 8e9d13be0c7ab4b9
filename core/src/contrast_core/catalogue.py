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


def provider_of(name: str) -> dict[str, Any] | None:
    """The entry of the plugin that carries the domain of `domain/name`, or a published system of that name."""
    domain, _, system = name.rpartition("/")
    for entry in entries():
        if domain == entry["domain"] or (not domain and system.lower() in {s.lower() for s in entry["systems"]}):
            return entry
    return None
