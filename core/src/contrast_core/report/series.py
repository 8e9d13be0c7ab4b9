"""From logged lines to curves over one axis of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from contrast_core.report.read import Run, number

Row = Mapping[str, Any]


@frozen(eq=False)
class Timeline:
    """Lines in the order of their steps. A stage that counts from the start again follows the stages before
    it.

    Args:
        metrics: (step on the common axis, line) of `metrics.jsonl`.
        diagnostics: the same of `diagnostics.jsonl`.
        stages: where a stage begins and its name; empty when there is only one.
    """

    metrics: Sequence[tuple[float, Row]]
    diagnostics: Sequence[tuple[float, Row]]
    stages: Sequence[tuple[float, str]]


def timeline(run: Run) -> Timeline:
    """The lines of a run on one axis; of a step logged twice (after a resumption) the last counts."""
    tables = [_by_step(run.metrics), _by_step(run.diagnostics)]
    names = dict.fromkeys(stage for table in tables for stage, _ in table)
    offsets: dict[str, float] = {}
    starts: list[tuple[float, str]] = []
    reached = -math.inf
    for name in names:
        steps = [step for table in tables for stage, step in table if stage == name]
        offsets[name] = reached if min(steps) <= reached else 0.0
        starts.append((offsets[name] + min(steps), name))
        reached = max(reached, offsets[name] + max(steps))
    metrics, diagnostics = (
        sorted(((offsets[stage] + step, row) for (stage, step), row in table.items()), key=lambda entry: entry[0])
        for table in tables
    )
    return Timeline(metrics, diagnostics, starts if len(starts) > 1 else ())


def curve(rows: Iterable[tuple[float, Row]], value: Callable[[Row], float]) -> tuple[list[float], list[float]]:
    """x and y of the lines whose value is not NaN."""
    pairs = [(x, y) for x, y in ((x, value(row)) for x, row in rows) if not math.isnan(y)]
    return [x for x, _ in pairs], [y for _, y in pairs]


def keys(rows: Iterable[tuple[float, Row]], part: str) -> list[str]:
    """The names in a part (`terms`, `scalars`) of the lines, in the order of their first appearance."""
    return list(dict.fromkeys(name for _, row in rows for name in inner(row, part)))


def inner(row: Row, key: str) -> Row:
    """A table inside a line; empty if there is none."""
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _by_step(rows: Iterable[Row]) -> dict[tuple[str, float], Row]:
    return {(str(row.get("stage") or ""), step): row for row in rows if math.isfinite(step := number(row.get("step")))}
