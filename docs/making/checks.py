"""The tables of the conformance kit: all checks, and the scenes."""

from __future__ import annotations

from collections.abc import Iterable

from contrast_core.spec import KINDS
from contrast_core.testing.checks import Check, checks_of
from contrast_core.testing.plugins import PLUGIN, RECIPE
from contrast_core.testing.scenes import SCENES, TABLE

MARKS = {
    name: (f"<!-- {name}: made by docs/generate.py -->", f"<!-- end of {name} -->") for name in ("checks", "scenes")
}


def table() -> str:
    """What is checked, by kind; what all kinds have in common comes first."""
    common = [check for check in checks_of(KINDS[0]) if all(check.name in _names(kind) for kind in KINDS)]
    shared = {check.name for check in common}
    lines = [*_section("The plugin as a whole", PLUGIN), *_section("Each recipe", RECIPE)]
    lines += _section("Every component", common)
    for kind in KINDS:
        lines += _section(f"kind {kind}", [check for check in checks_of(kind) if check.name not in shared])
    return "\n".join(lines)


def scenes() -> str:
    """The kit's scenes and what each sets."""
    lines = ["| scene | what it sets |", "|---|---|"]
    for name, settings in SCENES.items():
        told = [each.replace(str(TABLE.parent) + "/", "") for each in settings]
        lines.append(f"| `{name}` | {', '.join(f'`{each}`' for each in told) or 'nothing: `core/two-views`'} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """A page with fresh tables between their marks."""
    for name, text in (("checks", table()), ("scenes", scenes())):
        begin, end = MARKS[name]
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"
    return page


def _names(kind: str) -> set[str]:
    return {check.name for check in checks_of(kind)}


def _section(title: str, checks: Iterable[Check]) -> list[str]:
    rows = [f"| `{check.name}` | {check.about} |" for check in checks]
    return [f"**{title}**", "", "| check | what is kept |", "|---|---|", *rows, ""]
