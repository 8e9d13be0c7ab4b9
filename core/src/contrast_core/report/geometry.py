"""The section on the embedding: its geometry during training, and the spectrum, pairs, numbers and map of the last."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import torch

from contrast_core.diagnostics.spectra import rank_summary, spectrum
from contrast_core.diagnostics.sphere import wasserstein_uniformity
from contrast_core.report import charts, embedding_map, negatives
from contrast_core.report.markup import Child, node
from contrast_core.report.numbers import short
from contrast_core.report.read import Run, number, some_rows
from contrast_core.report.sections import BANDED, MOST_CHARTS, banded, section, title_of
from contrast_core.report.series import Timeline, curve

READINGS = {
    "alignment": "Mean squared distance of positive pairs on the unit sphere: lower means closer.",
    "uniformity": "Lower means that the rows cover the sphere more evenly; 0 would be a single point, −4 is "
    "what random rows reach in many dimensions.",
    "effective_rank": "How many directions the rows use; a fall towards 1 is dimensional collapse.",
    "rankme": "The effective rank without taking away the mean: a common direction of all rows lowers it.",
    "tolerance": "Mean cosine of two rows with the same label: higher means that a class stays together.",
    "mean_cosine": "Mean cosine of any two rows: near 1, all rows point the same way, which is collapse.",
    "mean_norm": "Mean length of a row before it is scaled to one; cosines do not see it.",
}


def geometry(run: Run, time: Timeline) -> Element:
    """How the embeddings lay in space while they were trained, and how the final ones do."""
    skipped = {"stage", "step", "epoch", "seconds", "possible_rank", "validation"}
    logged = dict.fromkeys(key for _, row in time.diagnostics for key in row if key not in skipped)
    figures = []
    for key in [*(key for key in READINGS if key in logged), *(key for key in logged if key not in READINGS)]:
        x, y = curve(time.diagnostics, lambda row, key=key: number(row.get(key)))  # type: ignore[misc]
        if not y:
            continue
        possible = curve(time.diagnostics, lambda row: number(row.get("possible_rank")))[1]
        # Far above the curve, the line of the possible rank would press the curve to the floor.
        near = key == "effective_rank" and bool(possible) and max(y) > 0.25 * possible[-1]
        reference = (possible[-1], "most possible") if near else None
        reading = READINGS.get(key, "A further diagnostic of this run.")
        line = charts.Line(title_of(key), x, y)
        figures.append(charts.figure(title_of(key), reading, [line], stages=time.stages, reference=reference))
    figures = figures[:MOST_CHARTS]
    values = _spectrum(run)
    figures += [values] if values is not None else []
    figures += negatives.figures(run)
    chart = embedding_map.figure(run)
    numbers = _numbers(run)
    body: list[Child] = [node("div", figures, class_="grid") if figures else None, numbers, chart]
    note = (
        BANDED
        if banded(figures)
        else ""
        if figures or chart is not None
        else "No diagnostics and no embeddings were written."
    )
    return section("Geometry of the embedding", *body, note=note)


def _spectrum(run: Run) -> Element | None:
    """The singular values of the final embeddings."""
    finite = some_rows(run, most=None)
    if finite is None:
        return None
    values = spectrum(finite[0])
    energy = values.square().cumsum(0)
    if energy[-1] <= 0:
        return None
    most = int(torch.searchsorted(energy / energy[-1], 0.9)) + 1
    # Below this share of the largest value float32 embeddings hold only rounding.
    kept = values[values > 1e-6 * values[0]].tolist()
    gone = len(values) - len(kept)
    reading = (
        f"Singular values of the {len(finite[0]):,} centred rows: a flat line uses all directions, a cliff is "
        f"dimensional collapse. {most} of {len(values)} directions hold 90 % of the variance"
        + (f"; {gone} hold none." if gone else ".")
    )
    line = charts.Line("Singular value", [float(k) for k in range(1, len(kept) + 1)], kept)
    return charts.figure("Spectrum", reading, [line], x_label="direction", log=True)


def _numbers(run: Run) -> list[Element]:
    """How many directions the final embedding uses, by every count, and how far from uniform its cosines are."""
    rows = some_rows(run)
    if rows is None:
        return []
    found = rank_summary(rows[0])
    if rows[0].shape[1] > 1:
        found["wasserstein_uniformity"] = wasserstein_uniformity(rows[0])
    items = [node("div", node("dt", title_of(name)), node("dd", short(value))) for name, value in found.items()]
    return [node("h3", "The final embedding in numbers"), node("dl", items, class_="facts numbers")]
