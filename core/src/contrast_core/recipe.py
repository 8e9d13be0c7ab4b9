"""Recipes: a pipeline, a data set, a training plan and an evaluation in one TOML file. No torch here.

[recipe]          name, title, summary, paper
[data]            use = "domain/name", and its options
[view.NAME]       use; after_encoder = true for one that works on embeddings
[encoder]         use
[memory.NAME]     use
[sampler.NAME]    use
[objective.NAME]  use; weight = factor of its terms
[step]            use (only for unusual training strategies)
[training]        see `Training`
[evaluation.NAME] use
[[stage]]         optional: stages in sequence; each may replace any of the sections above
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from contrast_core.errors import ContrastError, did_you_mean
from contrast_core.schema import check, fields_of

SINGLE = ("data", "encoder", "step")
NAMED = ("view", "memory", "sampler", "objective", "evaluation")
SECTIONS = ("recipe", *SINGLE, *NAMED, "training", "stage")


@frozen
class Group:
    """Optimiser settings for the parameters whose names match one of the patterns, e.g. `sampler.*`."""

    parameters: list[str]
    learning_rate: float | None = None
    weight_decay: float | None = None


@frozen
class Training:
    """The training plan.

    Args:
        epochs: passes over the data; steps: stop after that many optimiser steps, if given.
        batch_size: items a step (a data set that is one whole, like a graph, ignores it).
        optimizer, learning_rate, weight_decay, momentum (of SGD): as in torch.optim.
        schedule: "constant" or "cosine" to zero; warmup_steps: linear rise before it.
        clip_norm: largest gradient norm, if given.
        patience: stop when the loss has not fallen for that many epochs, if given.
        seed: of everything random.
        device: "auto" takes a GPU if there is one; precision: "float32", "bf16" or "fp16" (mixed).
        threads: CPU threads, by default torch's choice; workers: loader processes.
        checkpoint_every, diagnose_every: in steps.
        tensorboard: "auto" writes event files where tensorboard is installed.
        groups: optimiser settings for some of the parameters, by name of the group.
    """

    epochs: int = 10
    steps: int | None = None
    batch_size: int = 256
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    clip_norm: float | None = None
    patience: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    threads: int | None = None
    workers: int = 0
    checkpoint_every: int = 50
    diagnose_every: int = 10
    tensorboard: Literal["auto", "on", "off"] = "auto"
    groups: Mapping[str, Group] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for name in ("epochs", "batch_size", "checkpoint_every", "diagnose_every"):
            if getattr(self, name) < 1:
                raise ContrastError(f"[training] {name} must be at least 1, not {getattr(self, name)}.")


@frozen
class Source:
    """Where the text of a recipe stands, to say where something was written."""

    file: str
    lines: Mapping[str, int]
    settings: Mapping[str, str]

    def where(self, path: str) -> str:
        """`file, line N` or `--set key=value` for a dotted path, or for the nearest thing around it."""
        while path:
            if path in self.settings:
                return f"--set {path}={self.settings[path]}"
            if path in self.lines:
                return f"{self.file}, line {self.lines[path]}"
            path = path.rpartition(".")[0]
        return self.file


@frozen
class Section:
    """One component as a recipe names it.

    Args:
        path: where in the recipe, "objective.contrast".
        use: name of the component; options: the rest of the table.
        source: for messages.
    """

    path: str
    use: str
    options: Mapping[str, Any]
    source: Source

    def where(self, key: str = "") -> str:
        """Where a key of this section, or the section itself, was written."""
        return self.source.where(f"{self.path}.{key}" if key else self.path)


@frozen
class Recipe:
    """A checked recipe: the right sections with the right keys; whether the parts fit is `compose`'s business.

    Args:
        tree: the whole as plain tables, with all settings applied.
        folder: paths in the recipe are relative to this folder and may not leave it; None trusts all paths.
    """

    tree: Mapping[str, Any]
    source: Source
    folder: Path | None

    @property
    def name(self) -> str:
        """`domain/name`."""
        return str(self.tree.get("recipe", {}).get("name", "unnamed"))

    def about(self, key: str) -> str:
        """title, summary or paper."""
        return str(self.tree.get("recipe", {}).get(key, ""))

    def single(self, kind: str) -> Section | None:
        """The section of a kind of which there is one."""
        table = self.tree.get(kind)
        return None if table is None else self._section(kind, table)

    def named(self, kind: str) -> dict[str, Section]:
        """The sections of a kind by their names, in order."""
        return {
            name: self._section(f"{kind}.{name}", table) for name, table in self.tree.get(kind, {}).items()
        }

    @property
    def training(self) -> Training:
        """The training plan."""
        where = self.source.where
        options = check(
            fields_of(Training),
            self.tree.get("training", {}),
            "[training]",
            lambda key: where(f"training.{key}" if key else "training"),
        )
        return Training(**options)

    def stages(self) -> list[tuple[str, Recipe]]:
        """The recipes to train one after the other, by name; a recipe without stages is its own only one."""
        stages = self.tree.get("stage", [])
        base = {key: value for key, value in self.tree.items() if key != "stage"}
        if not stages:
            return [("", self)]
        made = []
        for number, stage in enumerate(stages):
            changes = {key: value for key, value in stage.items() if key != "name"}
            made.append(
                (str(stage.get("name", number + 1)), Recipe(_merged(base, changes), self.source, self.folder))
            )
        return made

    def _section(self, path: str, table: Any) -> Section:
        if not isinstance(table, dict) or not isinstance(table.get("use"), str):
            raise ContrastError(f'{self.source.where(path)}: [{path}] needs a line use = "domain/name".')
        return Section(path, table["use"], {k: v for k, v in table.items() if k != "use"}, self.source)


def load_recipe(path: str | Path, settings: Sequence[str] = (), *, trusted: bool = False) -> Recipe:
    """Read a recipe from a file.

    Args:
        path: the TOML file.
        settings: "section.key=value" each, stronger than the file; the value is TOML or plain text.
        trusted: allow paths that leave the file's folder (the recipe of one's own run).

    Raises:
        ContrastError: if the file can't be read or has an unknown section or malformed setting.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContrastError(f"The recipe {path} can't be read: {error}.") from error
    return parse_recipe(text, path.name, settings, None if trusted else path.resolve().parent)


def parse_recipe(
    text: str, file: str = "recipe", settings: Sequence[str] = (), folder: Path | None = None
) -> Recipe:
    """A recipe from text; see `load_recipe`."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContrastError(f"{file} is no valid TOML: {error}.") from error
    given: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ContrastError(
                f"--set {setting}: write section.key=value, for example --set training.epochs=5."
            )
        given[key.strip()] = value.strip()
        _put(tree, key.strip(), _value(value.strip()))
    source = Source(file, _line_numbers(text), given)
    for section, table in tree.items():
        if section not in SECTIONS:
            raise ContrastError(f"{source.where(section)}: a recipe has no section '{section}'."
                                f"{did_you_mean(section, SECTIONS)}")  # fmt: skip
        if not isinstance(table, list if section == "stage" else dict):
            raise ContrastError(f"{source.where(section)}: '{section}' must be a table, not {table!r}.")
    for number, stage in enumerate(tree.get("stage", [])):
        for section in stage:
            if section not in (*SECTIONS, "name") or section in ("stage", "recipe"):
                raise ContrastError(f"{source.where('stage')}: stage {number + 1} has no section '{section}'."
                                    f"{did_you_mean(section, SECTIONS)}")  # fmt: skip
    return Recipe(tree, source, folder)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    table: Any = tree
    for name in parents:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ContrastError(f"--set {path}: '{name}' is not a table.")
    if last == "use" and table.get("use") != value:
        # Another component has other options.
        for key in [key for key in table if key not in ("weight", "after_encoder")]:
            del table[key]
    table[last] = value


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        exchanged = (
            isinstance(value, dict)
            and "use" in value
            and isinstance(old, dict)
            and old.get("use") != value["use"]
        )
        merged[key] = (
            _merged(old, value)
            if isinstance(old, dict) and isinstance(value, dict) and not exchanged
            else value
        )
    return merged


def _line_numbers(text: str) -> dict[str, int]:
    """From dotted paths to the lines where they are written; tomllib does not tell."""
    header = ""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if table := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            header = table[1].replace('"', "")
            lines.setdefault(header, number)
        elif key := re.match(r'\s*"?([\w.-]+)"?\s*=', line):
            lines[f"{header}.{key[1]}" if header else key[1]] = number
    return lines
