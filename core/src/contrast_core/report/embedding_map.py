"""The map: items in the plane, neighbours near each other, coloured by class; pointing shows who is who."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from attrs import frozen

from contrast_core.report.charts import COLOURS
from contrast_core.report.markup import extend, node
from contrast_core.report.read import Run

WIDTH, HEIGHT, EDGE = 560.0, 440.0, 16.0
ROWS = 1500
SHAPES = ("circle", "triangle", "square", "diamond")
NAMED = 20
"""Classes that get their name written into the map; with more it would be covered by words."""

Array = np.ndarray[Any, np.dtype[Any]]


@frozen(eq=False)
class Place:
    """Where the rows lie: which rows of the table, (k,), and their points, (k, 2); `method` made them."""

    rows: Array
    points: Array
    method: str


def place(run: Run) -> Place | None:
    """At most ROWS finite rows in the plane; None if there are fewer than two."""
    if run.z is None:
        return None
    finite = np.flatnonzero(run.z.isfinite().all(1).numpy())
    if len(finite) < 2:
        return None
    rows = np.random.default_rng(0).permutation(finite)[:ROWS]
    z = run.z.numpy()[rows].astype(np.float64)
    z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    z -= z.mean(0)
    if not np.abs(z).max() > 1e-9:
        return Place(rows, np.zeros((len(z), 2)), "nothing: all rows are equal")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    reduced = PCA(min(50, *z.shape), svd_solver="full").fit_transform(z)
    if len(z) < 10:
        plane = np.pad(reduced, ((0, 0), (0, max(0, 2 - reduced.shape[1]))))[:, :2]
        return Place(rows, plane, "the first two principal components")
    # One thread: several that share their cores with other work wait for each other, ten times as long.
    # Rows that coincide divide by zero inside; they only lie on one point then.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        model = TSNE(init="random" if reduced.shape[1] < 2 else "pca", random_state=0, perplexity=min(30, len(z) / 4))
        return Place(rows, model.fit_transform(reduced), "t-SNE after PCA")


def figure(run: Run) -> Element | None:
    """The map with its legend and the sentence that says what it can and cannot tell."""
    placed = place(run)
    if placed is None or run.z is None:
        return None
    classes = run.texts("classes")
    labels = np.full(len(run.z), -1) if run.labels is None else run.labels.numpy()
    mine = [int(label) for label in labels[placed.rows]]
    order = [label for label, _ in Counter(x for x in mine if x >= 0).most_common(COLOURS * len(SHAPES))]
    style = {label: k for k, label in enumerate(sorted(order))}
    xy = _scaled(placed.points)

    svg = node("svg", viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img", aria_label=_spoken(run, placed, len(style)))
    for row, label, (x, y) in zip(placed.rows, mine, xy, strict=True):
        name = run.names[row][:200] if run.names else f"item {row}"
        # A single class needs no marking of the unknown as grey.
        kind = style.get(label, -1) if style else 0
        extend(svg, _mark(kind, x, y, data_name=name, data_class=_class(label, classes) if style else ""))
    extend(svg, _words(xy, mine, style, classes))

    frame = node("div", svg, node("div", class_="tip", hidden="", role="status"), class_="frame")
    reading = (
        f"Each point is one item: {len(mine):,} of {len(run.z):,} rows, drawn with a fixed seed, scaled "
        f"to length one and placed by {placed.method}. Items that lie together here are neighbours in the "
        "embedding; the size of a cluster, the distance between far ones and the axes mean nothing. Point at "
        "an item to see its name."
    )
    picture = node("div", frame, _legend(mine, style, classes), class_="map")
    return node("figure", node("h3", "Map of the embedding"), picture, node("figcaption", reading), class_="wide")


def _scaled(points: Array) -> list[tuple[float, float]]:
    """Into the frame, with one scale for both axes."""
    low, high = points.min(0), points.max(0)
    room = np.array([WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE])
    scale = float((room / np.maximum(high - low, 1e-12)).min()) if (high > low).any() else 0.0
    moved = (points - (low + high) / 2) * scale + np.array([WIDTH, HEIGHT]) / 2
    return [(float(x), float(y)) for x, y in moved]


def _mark(kind: int, x: float, y: float, **data: str) -> Element:
    """Colour and shape of a class; classes beyond the last shape, and unknown ones, are hollow circles."""
    shape = SHAPES[kind // COLOURS] if kind >= 0 else "circle"
    if shape == "circle":
        mark = node("circle", cx=x, cy=y, r=3.2, **data)
    else:
        corners = {
            "triangle": ((0, -4.2), (3.9, 2.8), (-3.9, 2.8)),
            "square": ((-2.9, -2.9), (2.9, -2.9), (2.9, 2.9), (-2.9, 2.9)),
            "diamond": ((0, -4.3), (4.3, 0), (0, 4.3), (-4.3, 0)),
        }[shape]
        mark = node("polygon", points=" ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners), **data)
    mark.set("class", f"mark c{kind % COLOURS}" if kind >= 0 else "mark other")
    mark.set("data-kind", str(kind))
    return mark


def _words(
    xy: Sequence[tuple[float, float]], mine: Sequence[int], style: dict[int, int], classes: Sequence[str]
) -> list[Element]:
    """The name of each class at one of its points near its middle, unless another name stands there."""
    written: list[tuple[float, float, float]] = []
    words: list[Element] = []
    for label in style if len(style) <= NAMED else ():
        own = np.array([point for point, its in zip(xy, mine, strict=True) if its == label])
        x, y = own[np.abs(own - np.median(own, 0)).sum(1).argmin()]
        name = _class(label, classes)
        name = name if len(name) <= 20 else name[:19] + "…"
        half = 4.2 * len(name) + 4
        x = min(max(float(x), half), WIDTH - half)
        if all(abs(x - a) > half + b or abs(y - c) > 17 for a, b, c in written):
            written.append((x, half, float(y)))
            words.append(node("text", name, x=x, y=float(y) + 5, class_="name middle"))
    return words


def _legend(mine: Sequence[int], style: dict[int, int], classes: Sequence[str]) -> Element | None:
    if not style:
        return None
    counts = Counter(style.get(label, -1) for label in mine)
    rows = [(kind, _class(label, classes)) for label, kind in style.items()]
    if counts[-1]:
        rows.append((-1, "unlabelled" if set(mine) <= {*style, -1} else "others"))
    items = []
    for kind, name in rows:
        swatch = node("svg", _mark(kind, 7, 7), viewBox="0 0 14 14", aria_hidden="true")
        count = node("span", f"{counts[kind]:,}", class_="count")
        button = node("button", swatch, node("span", name), count, type="button", data_kind=str(kind))
        button.set("aria-pressed", "false")
        items.append(node("li", button))
    return node("ul", items, class_="legend", aria_label="Classes: press one to see it alone")


def _class(label: int, classes: Sequence[str]) -> str:
    if label < 0:
        return "unlabelled"
    return classes[label][:80] if label < len(classes) else f"class {label}"


def _spoken(run: Run, placed: Place, classes: int) -> str:
    kinds = f", in {classes} classes" if classes else ""
    return f"Map of {len(placed.rows)} embeddings{kinds}, placed by {placed.method}."
