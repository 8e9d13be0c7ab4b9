"""The figures that evaluators left in the run folder. What is written there may be damaged: then it is not drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from contrast_core.report import charts
from contrast_core.report.markup import Child, node
from contrast_core.report.numbers import fixed
from contrast_core.report.read import Run, number

SIDE = 72
"""Small images are enlarged, by whole numbers, to about so many pixels."""


def figures(run: Run) -> Element | None:
    """A section with all figures; None if there are none."""
    drawn = [made for entry in run.figures for made in [_drawn(entry)] if made is not None]
    return node("section", node("h2", "Pictures"), drawn) if drawn else None


def _drawn(entry: Mapping[str, Any]) -> Element | None:
    draw = {"images": _images, "matrix": _matrix, "lines": _lines}.get(str(entry.get("kind")))
    try:
        return draw(entry) if draw else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _wide(entry: Mapping[str, Any], content: Child) -> Element:
    scroll = node("div", content, class_="scroll", tabindex="0", role="region", aria_label=str(entry["title"]))
    caption = node("figcaption", str(entry["reading"]))
    return node("figure", node("h3", str(entry["title"])), scroll, caption, class_="wide")


def _images(entry: Mapping[str, Any]) -> Element:
    names, columns = entry["rows"], entry["columns"]
    head = node("thead", _head("" if names else None, columns)) if columns else None
    rows = []
    for place, row in enumerate(entry["cells"]):
        name = node("th", str(names[place]), scope="row") if names else None
        rows.append(node("tr", name, [node("td", _cell(cell)) for cell in row]))
    return _wide(entry, node("table", head, node("tbody", rows), class_="images"))


def _cell(cell: Mapping[str, Any] | None) -> Child:
    if cell is None:
        return None
    encoded, caption = str(cell["png"]), str(cell["caption"])
    if not re.fullmatch(r"[A-Za-z0-9+/]+=*", encoded):
        raise ValueError("This is no base64.")
    height, width = int(cell["height"]), int(cell["width"])
    factor = max(1, round(SIDE / max(height, width)))
    image = node(
        "img",
        src=f"data:image/png;base64,{encoded}",
        alt=caption or "image",
        width=str(factor * width),
        height=str(factor * height),
    )
    return [image, node("small", caption) if caption else None]


def _matrix(entry: Mapping[str, Any]) -> Element:
    values = [[number(value) for value in row] for row in entry["values"]]
    known = [value for row in values for value in row if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    decimals = 3 if max(map(abs, known), default=0.0) <= 1 else 2
    rows = []
    for name, row in zip(entry["rows"], values, strict=True):
        shown = [_shaded(value, (value - low) / ((high - low) or 1.0), decimals) for value in row]
        rows.append(node("tr", node("th", str(name), scope="row"), shown))
    head = _head(str(entry["corner"]), entry["columns"])
    return _wide(entry, node("table", node("thead", head), node("tbody", rows), class_="matrix"))


def _shaded(value: float, share: float, decimals: int) -> Element:
    if not math.isfinite(value):
        return node("td")
    return node("td", fixed(value, decimals), style=f"--share: {100 * share:.0f}%")


def _head(corner: str | None, columns: Sequence[object]) -> Element:
    first = None if corner is None else node("th", corner, scope="col")
    return node("tr", first, [node("th", str(name), scope="col") for name in columns])


def _lines(entry: Mapping[str, Any]) -> Element:
    lines = [
        charts.Line(str(name), [number(x) for x, _ in points], [number(y) for _, y in points])
        for name, points in entry["lines"].items()
    ]
    title, reading = str(entry["title"]), str(entry["reading"])
    several = len(lines) > 1
    return charts.figure(title, reading, lines[: charts.COLOURS], x_label=str(entry["x"]), key=several, dotted=True)
