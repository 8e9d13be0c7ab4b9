"""How similar positives and negatives are, and which negatives a softmax loss pushes away: two figures."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

import torch

from contrast_core.diagnostics.comparing import by_label
from contrast_core.diagnostics.picture import HARDEST, USUAL_TEMPERATURE, picture, temperature_in
from contrast_core.report import charts
from contrast_core.report.numbers import short, tick_text, ticks
from contrast_core.report.read import Run, number, some_rows

FEW = 2000
"""Pairs that make a smooth curve; with fewer, four bins are drawn as one."""
BY_LABEL = (
    f"Cosines of rows with the same label, of rows with different ones, and of each row with its {HARDEST} most "
    "similar ones of another label; the loss itself may compare a projection of these rows."
)
OF_A_BATCH = (
    f"Cosines of positive pairs, of all negative pairs, and of each anchor with its {HARDEST} most similar negatives, "
    "in the pairs of one batch after the last step."
)


def figures(run: Run) -> list[Element]:
    """Of the final embedding, by label; without labels, of the pairs of one batch; without these, none."""
    named = _named_temperature(run)
    found = _by_label(run, named or USUAL_TEMPERATURE)
    drawn = (
        _histograms(run.pairs if found is None else found, OF_A_BATCH if found is None else BY_LABEL),
        _penalties(run.pairs if found is None else found, named is not None),
    )
    return [figure for figure in drawn if figure is not None]


def _named_temperature(run: Run) -> float | None:
    try:
        return temperature_in(tomllib.loads(run.recipe))
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _by_label(run: Run, temperature: float) -> Mapping[str, Any] | None:
    z, labels = some_rows(run) or (None, None)
    if z is None or labels is None or len(torch.unique(labels[labels >= 0])) < 2:
        return None
    return picture(by_label(z, labels), temperature)


def _histograms(found: Mapping[str, Any], reading: str) -> Element | None:
    middles = _numbers(found, "similarity")
    names = {"positives": "positives", "negatives": "negatives", "hardest": f"{HARDEST} hardest"}
    counts = {name: _numbers(found, key) for key, name in names.items()}
    counts = {name: count for name, count in counts.items() if len(count) == len(middles) and sum(count) > 0}
    if counts and min(map(sum, counts.values())) < FEW:
        middles = [sum(group) / len(group) for group in _groups(middles)]
        counts = {name: [sum(group) for group in _groups(count)] for name, count in counts.items()}
    shares = {name: [pairs / sum(count) for pairs in count] for name, count in counts.items()}
    used = [k for k in range(len(middles)) if any(share[k] > 0 for share in shares.values())]
    if not used:
        return None
    shown = slice(max(0, used[0] - 1), used[-1] + 2)
    lines = [charts.Line(name, middles[shown], share[shown]) for name, share in shares.items()]
    return charts.figure(
        "Similarity of pairs", f"{reading} Each line shares out 100 % of its own pairs.", lines,
        x_label="cosine", percent=True, x_ticks=_ticks(middles[shown]), key=True,
    )  # fmt: skip


def _penalties(found: Mapping[str, Any], named: bool) -> Element | None:
    level, mean = _numbers(found, "level"), _numbers(found, "penalty")
    points = [(x, y) for x, y in zip(level, mean, strict=False) if y > 0]
    summary = found.get("summary")
    said = {key: number(value) for key, value in summary.items()} if isinstance(summary, dict) else {}
    if len(points) < 2 or not said.get("negatives", 0.0) > 0:
        return None
    xs = [x for x, _ in points]
    temperature = f"the temperature {number(found.get('temperature')):g}"
    reading = (
        f"Mean share of an anchor's push that one negative gets under a softmax with {temperature}"
        f"{' of the recipe' if named else ', as the recipe names none'}; the steeper, the more the hardest get. Of "
        f"{short(said['negatives'])} negatives {short(said.get('effective_negatives', math.nan))} count "
        f"(exp of the entropy), the hardest gets {_percent(said.get('top_1'))}, the ten hardest "
        f"{_percent(said.get('top_10'))}."
    )
    line = charts.Line("Penalty", xs, [y for _, y in points])
    return charts.figure(
        "Penalty by similarity", reading, [line], x_label="cosine", log=True, x_ticks=_ticks(xs),
        reference=(1 / said["negatives"], "an even share"),
    )  # fmt: skip


def _numbers(found: Mapping[str, Any], name: str) -> list[float]:
    values = found.get(name)
    return [number(value) for value in values] if isinstance(values, list) else []


def _groups(bins: list[float]) -> list[list[float]]:
    return [bins[start : start + 4] for start in range(0, len(bins), 4)]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{short(100 * share)} %"


def _ticks(values: list[float]) -> list[tuple[float, str]]:
    places = ticks(min(values), max(values), most=8)
    return [(place, tick_text(place, places)) for place in places]
