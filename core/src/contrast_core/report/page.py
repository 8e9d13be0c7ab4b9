"""The page: what was run, how it went, and then the sections, in one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from importlib.resources import files
from xml.etree.ElementTree import Element

from contrast_core.diagnostics.geometry import collapsed, summary
from contrast_core.report import sections
from contrast_core.report.figures import figures
from contrast_core.report.geometry import geometry
from contrast_core.report.markup import Child, document, node
from contrast_core.report.numbers import duration, fixed, moment, short
from contrast_core.report.read import Result, Run
from contrast_core.report.series import timeline

TILES = 4
LOWER_IS_BETTER = re.compile(
    r"loss|error|forgetting|distance|perplexity|\b(mse|rmse|mae|eer|fid|wer|cer)\b", re.IGNORECASE
)


def render(run: Run) -> bytes:
    """The bytes of `report.html`."""
    time = timeline(run)
    title = run.text("title") or run.text("name") or run.folder.resolve().name
    parts = (
        _header(run, title),
        _alarms(run),
        _problems(run),
        _headline(run),
        _facts(run),
        sections.evaluation(run),
        figures(run),
        sections.training(time),
        geometry(run, time),
        sections.provenance(run),
    )
    return standing_alone(f"{title} – run report", parts, (files(__package__) / "map.js").read_text("utf-8"))


def standing_alone(title: str, parts: Iterable[Child], script: str = "") -> bytes:
    """A page that needs no network and no other file, with the reports' style and, if given, a script."""
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", name="color-scheme", content="light dark"),
        node("title", title),
        node("style", (files(__package__) / "style.css").read_text("utf-8")),
    )
    body = node("body", node("main", *parts), node("script", script) if script else None)
    return document(node("html", head, body, lang="en"))


def _policy(script: str) -> str:
    """The browser itself refuses whatever is not in this file: other scripts, and every request."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"script-src 'sha256-{digest}'; " if script else ""
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; {allowed}base-uri 'none'"


def _header(run: Run, title: str) -> Element:
    status = run.text("status") or "status unknown"
    kind = status.split(":")[0] if status.startswith(("finished", "running", "failed")) else "unknown"
    paper = run.text("paper")
    link = node("a", paper, href=paper, rel="noreferrer") if re.fullmatch(r"https?://\S+", paper) else paper
    name = run.text("name")
    return node(
        "header",
        node(
            "p",
            node("span", status, class_=f"status {kind}"),
            node("code", name) if name else None,
            class_="kicker",
        ),
        node("h1", title),
        node("p", run.text("summary"), class_="lead") if run.text("summary") else None,
        node("p", "Paper: ", link, class_="paper") if paper else None,
    )


def _alarms(run: Run) -> Element | None:
    alarms = run.texts("alarms")
    finite = None if run.z is None else run.z[run.z.isfinite().all(1)]
    if finite is not None and len(finite) > 1:
        found = collapsed(summary(finite))
        # A run that raised the alarm itself said so in its own words.
        if found and not any("collapse" in alarm.lower() for alarm in alarms):
            alarms.append(found)
    if not alarms:
        return None
    heading = node("h2", "Alarm" if len(alarms) == 1 else f"{len(alarms)} alarms")
    return node("aside", heading, node("ul", [node("li", alarm) for alarm in alarms]), class_="alarm", role="alert")


def _problems(run: Run) -> Element | None:
    if not run.problems:
        return None
    items = [node("li", problem) for problem in run.problems]
    return node("aside", node("h2", "Not all of the run could be read"), node("ul", items), class_="problem")


def _headline(run: Run) -> Element | None:
    """The best score of each metric over its splits, for the first few metrics."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in run.results:
        groups.setdefault((result.evaluator, result.metric), []).append(result)
    tiles = []
    for (evaluator, metric), group in list(groups.items())[:TILES]:
        pick = min if LOWER_IS_BETTER.search(metric) else max
        best = pick(group, key=lambda result: result.mean)
        decimals = sections.decimals_for(group)
        deviation = None if best.deviation is None else node("small", f"± {fixed(best.deviation, decimals)}")
        where = " · ".join(part for part in (evaluator, best.split) if part)
        among = f"{where} (best of {len(group)})" if len(group) > 1 else where
        value = node("dd", fixed(best.mean, decimals), " ", deviation, class_="big")
        tiles.append(node("div", node("dt", metric), value, node("dd", among, class_="where")))
    return node("dl", tiles, class_="tiles", aria_label="Best scores") if tiles else None


def _facts(run: Run) -> Element | None:
    shown = {
        "Started": moment(run.text("started")),
        "Took": duration(run.number("seconds")),
        "Steps": short(run.number("steps")),
        "Parameters": short(run.number("parameters")),
        "Embeddings": "–" if run.z is None else f"{run.z.shape[0]:,} × {run.z.shape[1]:,}",
        "Device": run.text("device"),
        "Seed": run.text("seed"),
    }
    known = {name: value for name, value in shown.items() if value not in ("", "–")}
    if not known:
        return None
    items = [node("div", node("dt", name), node("dd", value)) for name, value in known.items()]
    return node("dl", items, class_="facts", aria_label="About this run")
