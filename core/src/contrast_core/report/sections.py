"""The sections of the report, from the scores to the recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from contrast_core.report import charts
from contrast_core.report.markup import Child, extend, node
from contrast_core.report.numbers import fixed, short
from contrast_core.report.read import Result, Run, number
from contrast_core.report.series import Timeline, curve, inner, keys

MOST_CHARTS = 24
BANDED = "Long curves are drawn as means over groups of steps, with the range of each group as a band."
TITLES = {"rankme": "RankMe", "nesum": "NESum", "power_law": "Power-law exponent"}


def section(title: str, *children: Child, note: str = "") -> Element:
    """A section with its heading and, where needed, a line under it."""
    return node("section", node("h2", title), node("p", note, class_="note") if note else None, *children)


def evaluation(run: Run) -> Element:
    """One table an evaluator: a row for each metric, a column for each split."""
    if not run.results:
        return section("Evaluation", note="No scores: the run was not evaluated, or not yet.")
    evaluators = dict.fromkeys(result.evaluator for result in run.results)
    tables = [_table(name, [r for r in run.results if r.evaluator == name]) for name in evaluators]
    repeated = any(result.deviation is not None for result in run.results)
    note = "Mean ± standard deviation over repetitions." if repeated else "One repetition each."
    return section("Evaluation", node("div", tables, class_="tables"), note=note)


def _table(name: str, results: Sequence[Result]) -> Element:
    splits = list(dict.fromkeys(result.split for result in results))
    head = node("tr", node("th", "Metric", scope="col"), [node("th", s or "Score", scope="col") for s in splits])
    rows = []
    for metric in dict.fromkeys(result.metric for result in results):
        mine = [result for result in results if result.metric == metric]
        decimals = decimals_for(mine)
        cells = [[_score(r, decimals) for r in mine if r.split == split] for split in splits]
        rows.append(node("tr", node("th", metric, scope="row"), [node("td", cell or "–") for cell in cells]))
    table = node("table", node("caption", name or "Scores"), node("thead", head), node("tbody", rows))
    return node("div", table, class_="scroll", tabindex="0", role="region", aria_label=f"Scores of {name}")


def decimals_for(results: Sequence[Result]) -> int:
    """Three decimals where all means lie in [-1, 1], two below 1000, none above."""
    most = max((abs(result.mean) for result in results if math.isfinite(result.mean)), default=0.0)
    return 3 if most <= 1 else 2 if most < 1000 else 0


def _score(result: Result, decimals: int) -> Element:
    deviation = None if result.deviation is None else f" ± {fixed(result.deviation, decimals)}"
    return node("span", fixed(result.mean, decimals), node("small", deviation) if deviation else None, class_="score")


def training(time: Timeline) -> Element:
    """The loss, its terms, the shares of rows left out, and further numbers."""
    figures: list[Element] = []
    x, y = curve(time.metrics, lambda row: number(row.get("loss")))
    if y:
        lowest = min(y)
        reading = (
            "The sum that is minimised: lower is better for the objective, not always for the embedding. "
            f"Lowest {short(lowest)}."
        )
        figures.append(_figure("Loss", reading, x, y, time))
    terms = keys(time.metrics, "terms")
    for name in terms:
        x, y = _term(time, name, "value")
        weights = _term(time, name, "weight")[1] or [1.0]
        weight = f"{weights[0]:g}" if min(weights) == max(weights) else f"{weights[0]:g} to {weights[-1]:g}"
        if y:
            reading = f"This term alone, before its weight of {weight} in the loss."
            figures.append(_figure(f"Term: {name}", reading, x, y, time))
    figures += [figure for figure in [_dropped(time, terms)] if figure is not None]
    x, y = curve(time.diagnostics, lambda row: number(row.get("validation")))
    if y:
        reading = "The recipe's validation score, on the validation items; the weights of its best moment are kept."
        figures.insert(1, _figure("Validation", reading, x, y, time))
    for name in keys(time.metrics, "scalars"):
        x, y = curve(time.metrics, lambda row, name=name: number(inner(row, "scalars").get(name)))  # type: ignore[misc]
        if y:
            figures.append(_figure(title_of(name), "A further number that the method logs.", x, y, time))
    if not figures:
        return section("Training", note="No losses were logged.")
    left = len(figures) - MOST_CHARTS
    notes = [BANDED] if banded(figures) else []
    notes += [f"{left} further curves are in metrics.jsonl."] if left > 0 else []
    return section("Training", node("div", figures[:MOST_CHARTS], class_="grid"), note=" ".join(notes))


def banded(figures: Sequence[Element]) -> bool:
    """Whether one of the figures draws ranges as bands."""
    return any(part.get("class", "").startswith("band") for figure in figures for part in figure.iter("polygon"))


def _term(time: Timeline, name: str, key: str) -> tuple[list[float], list[float]]:
    return curve(time.metrics, lambda row: number(inner(inner(row, "terms"), name).get(key)))


def _dropped(time: Timeline, terms: Sequence[str]) -> Element | None:
    """The share of rows that a term left out, if it left out any."""
    lines = []
    for name in terms:
        rows = dict(zip(*_term(time, name, "rows"), strict=True))
        shares = [(x, y / max(y + rows.get(x, 0.0), 1)) for x, y in zip(*_term(time, name, "dropped"), strict=True)]
        if any(share > 0 for _, share in shares):
            lines.append(charts.Line(name, [x for x, _ in shares], [share for _, share in shares]))
    reading = "Rows without a positive, or with nothing to be set against, take no part in a term."
    shown = lines[: charts.COLOURS]
    return charts.figure("Rows left out", reading, shown, percent=True, stages=time.stages) if shown else None


def _figure(title: str, reading: str, x: list[float], y: list[float], time: Timeline) -> Element:
    return charts.figure(title, reading, [charts.Line(title, x, y)], stages=time.stages)


def title_of(key: str) -> str:
    """A logged name as people write it."""
    words = key.replace("_", " ")
    return TITLES.get(key, words[:1].upper() + words[1:])


def provenance(run: Run) -> list[Element]:
    """Where the data comes from, and how to repeat the run."""
    made = []
    if run.text("data"):
        made.append(section("Data", node("p", run.text("data"), class_="prose")))
    parts: list[Child] = []
    if run.text("command"):
        parts += [node("h3", "Command"), node("pre", node("code", run.text("command")), class_="wrap")]
    if run.recipe.strip():
        recipe = run.recipe.strip()
        most = 100_000
        recipe = recipe if len(recipe) <= most else recipe[:most] + "\n# … the rest is in recipe.toml"
        parts += [node("h3", "Resolved recipe"), node("pre", node("code", recipe), tabindex="0")]
    versions = run.facts.get("versions")
    if isinstance(versions, dict) and versions:
        items = [node("div", node("dt", str(name)), node("dd", str(version))) for name, version in versions.items()]
        parts += [node("h3", "Versions"), node("dl", items, class_="versions")]
    repeat = section("To repeat this run")
    extend(repeat, *parts)
    return [*made, repeat] if parts else made
