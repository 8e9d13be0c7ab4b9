"""SVG files of the report's charts, several in one picture, that follow the reader's light or dark colours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from contrast_core.report.charts import COLOURS, HEIGHT, WIDTH
from contrast_core.report.markup import extend, node

HEAD, FOOT, GAP = 28.0, 22.0, 14.0
USED = ("text", "tick", "value", "end", "middle", "rule", "reference", "line", "band", "dot", "title")
TITLE = ".title { font-size: 13px; font-weight: 600; }"


def save(path: Path, charts: Sequence[Element], names: Sequence[str], columns: int = 2) -> None:
    """Write a picture of charts, which `report.charts.figure` made with key=True, over the names of their lines."""
    columns = min(columns, len(charts))
    rows = -(-len(charts) // columns)
    wide = columns * (WIDTH + GAP) - GAP
    key, lines = _key(names, wide, rows * (HEAD + HEIGHT))
    high = rows * (HEAD + HEIGHT) + FOOT * lines
    spoken = " ".join(_svg(chart).get("aria-label", "") for chart in charts)
    # Width and height give the picture its shape where it is shown by itself.
    picture = node("svg", viewBox=f"0 0 {wide:g} {high:g}", width=wide, height=high, role="img", aria_label=spoken)
    picture.set("xmlns", "http://www.w3.org/2000/svg")
    extend(picture, node("style", _style()))
    for place, chart in enumerate(charts):
        x, y = place % columns * (WIDTH + GAP), place // columns * (HEAD + HEIGHT)
        extend(picture, node("text", "".join(chart[0].itertext()), x=x, y=y + 18, class_="title"))
        svg = _svg(chart)
        svg.attrib.update(x=f"{x:g}", y=f"{y + HEAD:g}", width=f"{WIDTH:g}", height=f"{HEIGHT:g}")
        extend(picture, svg)
    extend(picture, key)
    path.write_text(tostring(picture, encoding="unicode") + "\n", encoding="utf-8")


def _key(names: Sequence[str], wide: float, top: float) -> tuple[list[Element], int]:
    """A piece of each line beside its name, from left to right in as many lines as it takes, and how many these are."""
    made: list[Element] = []
    x, line = 0.0, 0
    for k, name in enumerate(names):
        needed = 44 + 6.3 * len(name)
        if x and x + needed > wide:
            x, line = 0.0, line + 1
        y = top + FOOT * line + 10
        made.append(node("line", x1=x, x2=x + 18, y1=y, y2=y, class_=f"line s{k % COLOURS}"))
        made.append(node("text", name, x=x + 24, y=y + 4, class_="tick"))
        x += needed
    return made, line + 1 if names else 0


def _svg(chart: Element) -> Element:
    found = chart.find("svg")
    assert found is not None, "A chart without any finite value has no picture."
    return found


def _style() -> str:
    """Of the report's style what a chart needs: the colours, in both schemes, and the rules of its parts."""
    text = (files("contrast_core") / "report" / "style.css").read_text(encoding="utf-8")
    schemes = re.findall(r"^:root \{.*?^\}|^@media screen.*?^\}", text, re.DOTALL | re.MULTILINE)
    parts = re.compile(rf"^(?:svg text|\.(?:{'|'.join(USED)}|[sc]\d)\b).*$", re.MULTILINE)
    font = "svg { font-family: system-ui, sans-serif; }"
    return "\n".join([*schemes, font, *parts.findall(text), TITLE])
