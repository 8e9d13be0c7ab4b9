"""The table of all checks of the conformance kit."""

from __future__ import annotations

from collections.abc import Iterable

from contrast_core.spec import KINDS
from contrast_core.testing.checks import Check, checks_of
from contrast_core.testing.plugins import PLUGIN, RECIPE

BEGIN, END = "<!-- checks: made by docs/generate.py -->", "<!-- end of checks -->"


def table() -> str:
    """What is checked, by kind; what all kinds have in common comes first."""
    common = [check for check in checks_of(KINDS[0]) if all(check.name in _names(kind) for kind in KINDS)]
    shared = {check.name for check in common}
    lines = [*_section("The plugin as a whole", PLUGIN), *_section("Each recipe", RECIPE)]
    lines += _section("Every component", common)
    for kind in KINDS:
        lines += _section(f"kind {kind}", [check for check in checks_of(kind) if check.name not in shared])
    return "\n".join(lines)


def with_table(page: str) -> str:
    """A page with a fresh table between its two marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def _names(kind: str) -> set[str]:
    return {check.name for check in checks_of(kind)}


def _section(title: str, checks: Iterable[Check]) -> list[str]:
    rows = [f"| `{check.name}` | {check.about} |" for check in checks]
    return [f"**{title}**", "", "| check | what is kept |", "|---|---|", *rows, ""]
