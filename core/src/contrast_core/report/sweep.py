"""The page of a sweep: the runs of one recipe side by side, for each value of the setting that was varied."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element

from attrs import frozen

from contrast_core.diagnostics.geometry import collapsed, summary
from contrast_core.files import replacing, write_text
from contrast_core.report import charts
from contrast_core.report.geometry import READINGS
from contrast_core.report.markup import node
from contrast_core.report.numbers import short
from contrast_core.report.page import standing_alone
from contrast_core.report.read import Result, Run, number, read_run, some_rows
from contrast_core.report.sections import section, title_of

SHOWN = ("uniformity", "tolerance", "score", "effective_rank")
MEASURE = ("evaluator", "metric", "split")
"""What names a score."""


@frozen(eq=False)
class Swept:
    """A value and what became of its run: where it lies, or why it did not finish."""

    value: str
    folder: Path
    failure: str = ""


def write_sweep(folder: Path, key: str, swept: Sequence[Swept]) -> tuple[Path, list[dict[str, Any]]]:
    """Write `sweep.html` and `sweep.json` into a folder that holds the runs' folders.

    Returns:
        The path of the page; and for each value whose run finished: value, folder, uniformity, tolerance (with labels),
        effective_rank, and score, the first one of the evaluation, of a probe where there is one.
    """
    runs = {each.value: read_run(each.folder) for each in swept if not each.failure}
    measure = next((found for run in runs.values() if (found := _first(run.results)) is not None), None)
    rows = [_row(value, run, measure) for value, run in runs.items()]
    name = None if measure is None else {part: getattr(measure, part) for part in MEASURE}
    write_text(folder / "sweep.json", json.dumps({"key": key, "score": name, "rows": rows}, indent=2) + "\n")
    page = _page(key, measure, rows, list(runs.values()), [each for each in swept if each.failure])
    with replacing(folder / "sweep.html") as temporary:
        temporary.write_bytes(page)
    return folder / "sweep.html", rows


def _first(results: Sequence[Result]) -> Result | None:
    return next((each for each in results if "probe" in each.evaluator), next(iter(results), None))


def _row(value: str, run: Run, measure: Result | None) -> dict[str, Any]:
    row: dict[str, Any] = {"value": value, "folder": run.folder.name}
    z, labels = some_rows(run) or (None, None)
    if z is not None:
        numbers = summary(z, labels)
        row |= {name: numbers[name] for name in ("uniformity", "tolerance", "effective_rank") if name in numbers}
        if alarm := collapsed(numbers):
            row["alarm"] = alarm
    for each in run.results:
        if measure is not None and all(getattr(each, part) == getattr(measure, part) for part in MEASURE):
            row["score"] = each.mean
            break
    return row


def _page(
    key: str,
    measure: Result | None,
    rows: Sequence[Mapping[str, Any]],
    runs: Sequence[Run],
    failed: Sequence[Swept],
) -> bytes:
    name, last = runs[0].text("name"), key.rpartition(".")[2]
    title = f"{runs[0].text('title') or name or 'A recipe'}, by {last}"
    header = node(
        "header",
        node("p", node("code", f"{name} {key}".strip()), class_="kicker"),
        node("h1", title),
        node("p", f"One run for each of {len(rows)} values of {key}; all else is alike.", class_="lead"),
    )
    alarms = [node("li", f"{last} = {row['value']}: {row['alarm']}") for row in rows if "alarm" in row]
    broken = [node("li", f"{last} = {each.value}: {each.failure}") for each in failed]
    titles = {key: _title(key, measure) for key in SHOWN if any(key in row for row in rows)}
    parts = [
        header,
        node("aside", node("h2", "Alarms"), node("ul", alarms), class_="alarm", role="alert") if alarms else None,
        node("aside", node("h2", "Runs that did not finish"), node("ul", broken), class_="problem") if broken else None,
        section(
            "Curves",
            node("div", _figures(last, titles, measure, rows), class_="grid"),
            note="Values are drawn at equal distances. All numbers are of the final embedding.",
        ),
        section("Numbers", _table(last, titles, rows), note="A value leads to the report of its run."),
    ]
    return standing_alone(title, parts)


def _title(name: str, measure: Result | None) -> str:
    return f"Score: {measure.metric}" if name == "score" and measure is not None else title_of(name)


def _figures(
    last: str, titles: Mapping[str, str], measure: Result | None, rows: Sequence[Mapping[str, Any]]
) -> list[Element]:
    # So many letters have room under each point, and so many points can have any.
    room, every = max(5, 44 // len(rows)), math.ceil(len(rows) / 9)
    x_ticks = [(float(k), _cut(row["value"], room)) for k, row in enumerate(rows) if k % every == 0]
    where = "" if measure is None else ", ".join(filter(None, (measure.evaluator, measure.split)))
    made = []
    for name, title in titles.items():
        points = [(float(k), number(row.get(name))) for k, row in enumerate(rows) if name in row]
        line = charts.Line(title, [x for x, _ in points], [y for _, y in points])
        reading = READINGS.get(name, f"The first score of the evaluation ({where}).")
        made.append(charts.figure(title, reading, [line], x_label=last, x_ticks=x_ticks, dotted=True))
    return made


def _table(last: str, titles: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> Element:
    head = node("tr", node("th", last, scope="col"), [node("th", title, scope="col") for title in titles.values()])
    body = []
    for row in rows:
        link = node("a", row["value"], href=f"{quote(row['folder'])}/report.html")
        cells = [node("td", short(number(row.get(name)))) for name in titles]
        body.append(node("tr", node("th", link, scope="row"), cells))
    table = node("table", node("caption", "All finished runs"), node("thead", head), node("tbody", body))
    scroll = node("div", table, class_="scroll", tabindex="0", role="region", aria_label="Numbers of all runs")
    return node("div", scroll, class_="tables")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
