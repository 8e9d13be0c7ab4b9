"""Line charts as small SVG that follows the page's colours, in light, in dark and on paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from xml.etree.ElementTree import Element

from attrs import field, frozen

from contrast_core.report.markup import extend, node
from contrast_core.report.numbers import decades, short, tick_text, ticks

WIDTH, HEIGHT = 360.0, 214.0
TOP, FLOOR = 14.0, 178.0
COLOURS = 7
MOST = 240
"""Points a line may have; longer ones are drawn as means of buckets, with each one's range as a band."""


@frozen
class Line:
    """One line: x and y of equal length; what is not finite is left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@frozen
class _Thin:
    """What is drawn of a line: its points, and the range of what each point stands for."""

    name: str
    x: list[float] = field(factory=list)
    y: list[float] = field(factory=list)
    low: list[float] = field(factory=list)
    high: list[float] = field(factory=list)

    @property
    def banded(self) -> bool:
        return any(low < high for low, high in zip(self.low, self.high, strict=True))


@frozen
class _Plane:
    """From values to places in the picture; `left` and `right` are the room for labels."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    right: float
    log: bool

    @property
    def end(self) -> float:
        return WIDTH - self.right

    def at_x(self, x: float) -> float:
        return self.left + (x - self.x[0]) / (self.x[1] - self.x[0]) * (self.end - self.left)

    def at_y(self, y: float) -> float:
        low, high = self.y
        share = math.log(y / low) / math.log(high / low) if self.log else (y - low) / (high - low)
        return FLOOR - share * (FLOOR - TOP)

    def points(self, x: Iterable[float], y: Iterable[float]) -> str:
        return " ".join(f"{self.at_x(a):.1f},{self.at_y(b):.1f}" for a, b in zip(x, y, strict=True))


def figure(
    title: str,
    reading: str,
    lines: Sequence[Line],
    *,
    x_label: str = "step",
    log: bool = False,
    percent: bool = False,
    stages: Sequence[tuple[float, str]] = (),
    reference: tuple[float, str] | None = None,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    key: bool = False,
    dotted: bool = False,
) -> Element:
    """A figure with its title, its lines and the sentence that says how to read it.

    Args:
        title: what the y axis measures.
        reading: how to read it.
        lines: what to draw; several are labelled at their ends.
        x_label: what the x axis measures.
        log: whether y is logarithmic; values not above 0 are then left out.
        percent: whether y is a share to be written as per cent.
        stages: where (x) a stage begins, and its name.
        reference: a y to draw a dashed line at, and what it is.
        x_ticks: places on the x axis and what is written there; by default round whole numbers.
        key: name the lines below the picture, not at their ends, where several would meet.
        dotted: mark every point of a line, not only its end.
    """
    drawn = [thin for thin in (_thin(line, log) for line in lines) if thin.y]
    if not drawn:
        nothing = node("p", "No finite values were logged.", class_="none")
        return node("figure", node("h3", title), nothing, class_="chart")
    values = [f"{100 * line.y[-1]:.3g} %" if percent else short(line.y[-1]) for line in drawn]
    labels = [f"{_cut(line.name, 14)} {text}" for line, text in zip(drawn, values, strict=True)]
    labels = [] if key else labels if len(lines) > 1 else values

    xs = [x for line in drawn for x in line.x]
    ys = [y for line in drawn for y in (*line.low, *line.high)] + ([reference[0]] if reference else [])
    stages = [(x, name) for x, name in stages if x <= max(xs)]
    width = (min(xs), max(xs)) if min(xs) < max(xs) else (xs[0] - 1, xs[0] + 1)
    height = _range(min(ys), max(ys), log, percent)
    rules = _rules(height, log, percent)
    left, right = (
        14 + 6.3 * max((len(text) for _, text in rules), default=0),
        15 + 7.0 * max(map(len, labels), default=0),
    )
    plane = _Plane(width, height, left, right, log)

    svg = node("svg", viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img", aria_label=_spoken(title, drawn))
    if x_ticks is None:
        whole = [value for value in ticks(*plane.x) if value == int(value)]
        x_ticks = [(value, tick_text(value, whole)) for value in whole]
    extend(svg, _axes(plane, rules, x_ticks, x_label), _stages(plane, stages))
    if reference:
        extend(svg, _reference(plane, *reference, drawn))
    extend(svg, _curves(plane, drawn, ends=not key, dotted=dotted), _labels(plane, drawn, labels))
    names = _key(drawn) if key else None
    return node("figure", node("h3", title), svg, names, node("figcaption", reading), class_="chart")


def _rules(height: tuple[float, float], log: bool, percent: bool) -> list[tuple[float, str]]:
    """Where y has its rules, and what is written there."""
    values = decades(*height) if log else ticks(*height)
    if percent:
        return [(value, f"{100 * value:g} %") for value in values]
    return [(value, _power(value) if log else tick_text(value, values)) for value in values]


def _axes(
    plane: _Plane, rules: Sequence[tuple[float, str]], x_ticks: Sequence[tuple[float, str]], x_label: str
) -> Iterator[Element]:
    for value, name in rules:
        y = plane.at_y(value)
        yield node("line", x1=plane.left, x2=plane.end, y1=y, y2=y, class_="rule")
        yield node("text", name, x=plane.left - 7, y=y + 3.8, class_="tick end")
    for value, name in x_ticks:
        yield node("text", name, x=plane.at_x(value), y=FLOOR + 16, class_="tick middle")
    yield node("text", x_label, x=(plane.left + plane.end) / 2, y=HEIGHT - 4, class_="tick middle")


def _stages(plane: _Plane, stages: Sequence[tuple[float, str]]) -> Iterator[Element]:
    for x, name in stages:
        at = plane.at_x(x)
        yield node("line", x1=at, x2=at, y1=TOP, y2=FLOOR, class_="stage")
        yield node("text", _cut(name, 16), x=at + 4, y=TOP - 2, class_="tick")


def _reference(plane: _Plane, value: float, name: str, drawn: Sequence[_Thin]) -> Iterator[Element]:
    """A dashed line, and its name at whichever end the curves are farther away."""
    y = plane.at_y(value)
    yield node("line", x1=plane.left, x2=plane.end, y1=y, y2=y, class_="reference")
    first, last = (min(abs(plane.at_y(line.y[end]) - y) for line in drawn) for end in (0, -1))
    if first > last:
        yield node("text", name, x=plane.left, y=y - 5, class_="tick")
    else:
        yield node("text", name, x=plane.end, y=y - 5, class_="tick end")


def _curves(plane: _Plane, drawn: Sequence[_Thin], *, ends: bool, dotted: bool) -> Iterator[Element]:
    for k, line in enumerate(drawn):
        colour = f"s{k % COLOURS}"
        if line.banded:
            edge = plane.points([*line.x, *reversed(line.x)], [*line.high, *reversed(line.low)])
            yield node("polygon", points=edge, class_=f"band {colour}")
        yield node("polyline", points=plane.points(line.x, line.y), class_=f"line {colour}")
        for x, y in list(zip(line.x, line.y, strict=True))[0 if dotted else -1 if ends else len(line.x) :]:
            yield node("circle", cx=plane.at_x(x), cy=plane.at_y(y), r=3.0, class_=f"dot {colour}")


def _labels(plane: _Plane, drawn: Sequence[_Thin], labels: Sequence[str]) -> Iterator[Element]:
    """What is written at the ends of the lines."""
    last = max(plane.at_x(line.x[-1]) for line in drawn)
    ends = [(plane.at_y(line.y[-1]), label) for line, label in zip(drawn, labels, strict=False)]
    for y, label in _spread(ends, 14.0):
        yield node("text", label, x=last + 8, y=y + 4, class_="value")


def _key(drawn: Sequence[_Thin]) -> Element:
    """A piece of each line, and its name."""
    items = []
    for k, line in enumerate(drawn):
        piece = node("polyline", points="1,6 17,6", class_=f"line s{k % COLOURS}")
        items.append(node("li", node("svg", piece, viewBox="0 0 18 12", aria_hidden="true"), line.name))
    return node("ul", items, class_="key")


def _thin(line: Line, log: bool) -> _Thin:
    """The finite points; more than MOST become means of buckets, each with its range."""
    points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y) and (y > 0 or not log)]
    size = max(1, math.ceil(len(points) / MOST))
    thin = _Thin(line.name)
    for start in range(0, len(points), size):
        xs, ys = zip(*points[start : start + size], strict=True)
        thin.x.append(sum(xs) / len(xs))
        thin.y.append(sum(ys) / len(ys))
        thin.low.append(min(ys))
        thin.high.append(max(ys))
    return thin


def _range(low: float, high: float, log: bool, percent: bool) -> tuple[float, float]:
    """The y axis: the values and a little air, but not below 0 for shares."""
    if log:
        low, high = max(low, high * 1e-9), high
        return (low / 2, high * 2) if high < 10 * low else (low / 1.3, high * 1.3)
    air = 0.06 * (high - low) if high - low > 1e-9 * max(abs(low), abs(high)) else 0.1 * abs(high) or 1.0
    return (0.0, high + air) if percent else (low - air, high + air)


def _spread(ends: Sequence[tuple[float, str]], gap: float) -> list[tuple[float, str]]:
    """Labels moved apart so that none covers another, in their order from top to bottom."""
    placed: list[tuple[float, str]] = []
    for y, label in sorted(ends):
        placed.append((max(y, placed[-1][0] + gap) if placed else y, label))
    over = max(0.0, placed[-1][0] - (FLOOR)) if placed else 0.0
    return [(y - over, label) for y, label in placed]


def _spoken(title: str, drawn: Sequence[_Thin]) -> str:
    """What a screen reader says instead of the picture."""
    said = [
        f"{line.name} goes from {short(line.y[0])} to {short(line.y[-1])}, lowest {short(min(line.low))}, "
        f"highest {short(max(line.high))}"
        for line in drawn
    ]
    return f"Line chart, {title}: " + "; ".join(said) + "."


def _power(value: float) -> str:
    exponent = round(math.log10(value))
    if not math.isclose(value, 10.0**exponent) or -3 < exponent < 4:
        return f"{value:g}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
