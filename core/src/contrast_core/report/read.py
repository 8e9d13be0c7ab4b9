"""A run folder as it is: every part may be missing or broken off, and then a sentence says so."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor


@frozen
class Result:
    """One cell of the evaluation table."""

    evaluator: str
    metric: str
    split: str
    mean: float
    deviation: float | None


@frozen(eq=False)
class Run:
    """What a run folder holds.

    Args:
        folder: where it is.
        facts: `run.json`.
        recipe: the text of `recipe.toml`.
        metrics: the lines of `metrics.jsonl`.
        diagnostics: the lines of `diagnostics.jsonl`.
        results: the entries of `evaluation.json`.
        z: (n, d), the embeddings.
        labels: (n,), the class of each row, -1 where unknown.
        names: one name a row, or none at all.
        pairs: `pairs.json`, the similarities of one batch's pairs, of a run without labels.
        figures: the entries of `figures.json`, what evaluators show beside their scores.
        problems: sentences on what could not be read.
    """

    folder: Path
    facts: Mapping[str, Any] = field(factory=dict)
    recipe: str = ""
    metrics: Sequence[Mapping[str, Any]] = ()
    diagnostics: Sequence[Mapping[str, Any]] = ()
    results: Sequence[Result] = ()
    z: Tensor | None = None
    labels: Tensor | None = None
    names: Sequence[str] = ()
    pairs: Mapping[str, Any] = field(factory=dict)
    figures: Sequence[Mapping[str, Any]] = ()
    problems: Sequence[str] = ()

    def text(self, key: str) -> str:
        """A fact as text, empty if there is none."""
        value = self.facts.get(key)
        return "" if value is None else str(value)

    def texts(self, key: str) -> list[str]:
        """A list of facts as texts."""
        value = self.facts.get(key)
        return [str(entry) for entry in value] if isinstance(value, list) else []

    def number(self, key: str) -> float:
        """A fact as a number, NaN if there is none."""
        return number(self.facts.get(key))


def number(value: object) -> float:
    """The value if it is a number, else NaN."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def some_rows(run: Run, most: int | None = 2000) -> tuple[Tensor, Tensor | None] | None:
    """At most so many finite rows, drawn with a fixed seed, and their labels; None if there are fewer than two."""
    if run.z is None:
        return None
    finite = run.z.isfinite().all(1).nonzero().squeeze(1)
    if len(finite) < 2:
        return None
    chosen = finite[torch.randperm(len(finite), generator=torch.Generator().manual_seed(0))[:most]].sort().values
    return run.z[chosen], None if run.labels is None else run.labels[chosen]


def read_run(folder: Path) -> Run:
    """Read what is there.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no run folder {folder}.")
    problems: list[str] = []
    facts = _json(folder / "run.json", dict, problems)
    z, labels = _embedding(folder / "embedding.safetensors", problems)
    names = _json(folder / "names.json", list, problems) if (folder / "names.json").exists() else []
    if names and (z is None or len(names) != len(z)):
        problems.append(f"names.json has {len(names)} names for {0 if z is None else len(z)} embeddings: not used.")
        names = []
    return Run(
        folder=folder,
        facts=facts,
        recipe=_text(folder / "recipe.toml", problems),
        metrics=_lines(folder / "metrics.jsonl", problems),
        diagnostics=_lines(folder / "diagnostics.jsonl", problems),
        results=_results(_json(folder / "evaluation.json", list, problems), problems),
        z=z,
        labels=labels,
        names=[str(name) for name in names],
        pairs=_json(folder / "pairs.json", dict, problems) if (folder / "pairs.json").exists() else {},
        figures=_figures(folder / "figures.json", problems),
        problems=problems,
    )


def _figures(path: Path, problems: list[str]) -> list[Mapping[str, Any]]:
    entries = _json(path, list, problems) if path.exists() else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _text(path: Path, problems: list[str]) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        problems.append(f"{path.name} is missing.")
    except OSError as error:
        problems.append(f"{path.name} can't be read: {error.strerror}.")
    return ""


def _json(path: Path, kind: type, problems: list[str]) -> Any:
    before = len(problems)
    text = _text(path, problems)
    if len(problems) > before:
        return kind()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        problems.append(f"{path.name} is not complete JSON: not used.")
        return kind()
    if not isinstance(value, kind):
        problems.append(f"{path.name} should hold a {'table' if kind is dict else 'list'}: not used.")
        return kind()
    return value


def _lines(path: Path, problems: list[str]) -> list[Mapping[str, Any]]:
    lines = _text(path, problems).splitlines()
    read: list[Mapping[str, Any]] = []
    bad: list[int] = []
    for count, line in enumerate(lines, 1):
        try:
            value = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            value = ()
        if isinstance(value, dict):
            read.append(value)
        elif value is not None:
            bad.append(count)
    if bad == [len(lines)]:
        problems.append(f"{path.name} breaks off in its last line: the {len(read)} lines before it are used.")
    elif bad:
        problems.append(f"{path.name} has {len(bad)} broken lines, the first is line {bad[0]}: {len(read)} are used.")
    return read


def _results(entries: Sequence[object], problems: list[str]) -> list[Result]:
    results: list[Result] = []
    for entry in entries:
        mean = number(entry.get("mean")) if isinstance(entry, dict) else math.nan
        if not isinstance(entry, dict) or math.isnan(mean):
            continue
        deviation = number(entry.get("deviation"))
        evaluator, metric, split = (str(entry.get(key) or "") for key in ("evaluator", "metric", "split"))
        results.append(Result(evaluator, metric, split, mean, None if math.isnan(deviation) else deviation))
    if left := len(entries) - len(results):
        problems.append(f"evaluation.json has {left} entries without a mean: not shown.")
    return results


def _embedding(path: Path, problems: list[str]) -> tuple[Tensor | None, Tensor | None]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(path.read_bytes())
    except FileNotFoundError:
        problems.append(f"{path.name} is missing.")
        return None, None
    except (OSError, SafetensorError, ValueError, KeyError):
        problems.append(f"{path.name} is not complete: not used.")
        return None, None
    z, labels = tensors.get("z"), tensors.get("label")
    if z is None or z.dim() != 2 or not z.numel():
        problems.append(f"{path.name} has no embeddings z of shape (n, d): not used.")
        return None, None
    if labels is not None and labels.shape != (len(z),):
        problems.append(f"{path.name} has labels of another length than its embeddings: not used.")
        labels = None
    z, finite = z.float(), z.isfinite().all(1)
    if not finite.all():
        problems.append(f"{int((~finite).sum())} of {len(z)} embeddings have NaN or infinite entries.")
    return z, None if labels is None else labels.long()
