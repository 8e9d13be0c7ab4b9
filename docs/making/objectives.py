"""One page for each registered objective, and a table of them all."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contrast_core.describe import Argument, describe
from contrast_core.spec import Component
from making.docstring import Block, Documentation, parse
from making.pairing import PAIRINGS, Pairing

PARAGRAPHS = {
    "Use": "when one would choose it",
    "Cost": "time and memory in n, m and d, and how it relates to plain InfoNCE",
    "Parity": "whose code its golden cases come from, and how close it is",
}
SETTINGS = 6
"""Lines that an example has for arguments that have a default."""
INTRODUCTION = """\
# Objectives

Each is a function of pairs or tables and never holds a model, so that all of them work with any encoder, with gradient
caching and on several processes. What their temperature does and how they use the space is shown on
[how they behave](../behaviour.md). "yes" stands where it needs them, "can" where its pairs may come from there as well.
"""


def page_name(component: Component) -> str:
    """The name of its page and picture, without ending."""
    return component.name.removeprefix("core/").replace("/", "-")


def problems(component: Component) -> list[str]:
    """Sentences on what an objective's documentation lacks."""
    name, found = component.name, documentation_of(component)
    home = component.target.replace(":", ", class ")
    said = [
        f"{name} lacks the paragraph '{word}:' in its docstring ({home}): say there {what}."
        for word, what in PARAGRAPHS.items()
        if not found.sections.get(word)
    ]
    arguments = describe(component).arguments
    said += [
        f"{name} has the argument '{argument.name}', of which the 'Args:' of its docstring ({home}) say nothing."
        for argument in arguments
        if not found.arguments.get(argument.name)
    ]
    pairing = PAIRINGS.get(name)
    if pairing is None:
        return [*said, f"{name} lacks an entry in docs/making/pairing.py: say there what it is usually given."]
    return said + [
        f"{name} needs '{argument.name}' in a recipe: give an example value in docs/making/pairing.py."
        for argument in arguments
        if not argument.default and argument.name not in pairing.required
    ]


def documentation_of(component: Component) -> Documentation:
    """Its parsed docstring; "see `_Base`." of an argument is replaced by what that class says."""
    found = parse(describe(component).documentation)
    module = component.target.partition(":")[0]
    for name, text in found.arguments.items():
        if text.startswith("see `_"):
            base = Component(component.kind, component.name, f"{module}:{text.split('`')[1]}", "")
            found.arguments[name] = documentation_of(base).arguments.get(name, "")
    return found


def page(component: Component, folder: Path) -> str:
    """An objective's page; `folder` is where its picture would lie."""
    found, arguments = documentation_of(component), describe(component).arguments
    title = component.target.rpartition(":")[2]
    parts = [f"# {title}", f"`{component.name}`. {component.summary}", *map(_block, found.lead)]
    if (folder / f"{page_name(component)}.svg").exists():
        parts.append(f"![What {title} does to embeddings of digits]({page_name(component)}.svg)")
        parts.append("Runs on handwritten digits; [how they behave](../behaviour.md) says how they were made.")
    parts += ["## Arguments", _arguments(arguments, found.arguments), *map(_block, found.notes)]
    headings = {"Use": "When to use it", "Cost": "Cost", "Parity": "Parity"}
    for word, heading in headings.items():
        text = found.sections[word]
        parts += [f"## {heading}", _safe(text[:1].upper() + text[1:])]
    if found.raises:
        parts += ["## Raises", "\n".join(f"- `{name}` {_safe(text)}" for name, text in found.raises.items())]
    papers = _papers(component.paper, found.sections.get("Paper", ""))
    parts += ["## Paper", *papers] if papers else []
    example = fragment(component, arguments, PAIRINGS[component.name])
    return "\n\n".join([*parts, "## In a recipe", f"```toml\n{example}\n```"]) + "\n"


def index(components: Iterable[Component]) -> str:
    """The table of all objectives."""
    rows = ["| objective | what | paper | labels | two views | queue |", "|---|---|---|---|---|---|"]
    for component in components:
        needs = PAIRINGS[component.name]
        cells = [f"[{component.name}]({page_name(component)}.md)", component.summary, component.paper]
        rows.append("| " + " | ".join(_cell(text) for text in (*cells, *needs[1:4])) + " |")
    return INTRODUCTION + "\n" + "\n".join(rows) + "\n"


def fragment(component: Component, arguments: Iterable[Argument], pairing: Pairing) -> str:
    """The sections of a recipe that use an objective."""
    lines = ["[sampler.pairs]", f'use = "{pairing.sampler}"', ""] if pairing.sampler else []
    lines += ["[objective.contrast]", f'use = "{component.name}"']
    lines += [f"{name} = {_toml(value)}" for name, value in pairing.required.items()]
    settings = [f"{a.name} = {_toml(value)}" for a in arguments if (value := _literal(a)) is not None]
    return "\n".join([*lines, *settings[:SETTINGS]])


def _literal(argument: Argument) -> Any:
    """A default that a recipe can state, else None; the name of the pairs need not be stated."""
    if argument.name == "pairs" or not argument.default:
        return None
    try:
        value = ast.literal_eval(argument.default)
    except ValueError:
        return None
    return value if isinstance(value, str | int | float) else None


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items()) + " }"
    return json.dumps(value)


def _papers(registered: str, written: str) -> list[str]:
    """What the manifest says and what the docstring says beyond it."""
    more = "" if written.rstrip(".") in registered else _safe(written[:1].upper() + written[1:])
    return [text for text in (registered and f"{_safe(registered)}.", more) if text]


def _block(block: Block) -> str:
    return f"```text\n{block.text}\n```" if block.equation else _safe(block.text)


def _arguments(arguments: Iterable[Argument], said: Mapping[str, str]) -> str:
    rows = ["| argument | type | default | what |", "|---|---|---|---|"]
    for a in arguments:
        default = f"`{_cell(a.default)}`" if a.default else "required"
        rows.append(f"| `{a.name}` | `{_cell(a.annotation)}` | {default} | {_cell(_safe(said.get(a.name, '')))} |")
    return "\n".join(rows)


def _safe(text: str) -> str:
    """Prose in which markdown sees no tags and no emphasis; `code` stays as it is."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"\*|(?<!\w)_|_(?!\w)", r"\\\g<0>", part).replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
