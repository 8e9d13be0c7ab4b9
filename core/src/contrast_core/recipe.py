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
[[stage]]         optional: stages in sequence; each has a name and may replace any of the sections above

A setting (`--set section.key=value`) is stronger than the file, in every stage that writes the same key; the key
`stage.2.training.epochs` is that of the second stage alone.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from contrast_core.errors import ContrastError, did_you_mean
from contrast_core.schema import check, fields_of, shown

SINGLE = ("data", "encoder", "step")
NAMED = ("view", "memory", "sampler", "objective", "evaluation")
SECTIONS = ("recipe", *SINGLE, *NAMED, "training", "stage")
ABOUT = ("name", "title", "summary", "paper")
STAGE = (*SINGLE, *NAMED, "training", "name")

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class TrainingError(ContrastError):
    """A number of the training plan that can't be, and its key."""

    def __init__(self, key: str, sentence: str):
        super().__init__(sentence)
        self.key = key


def _at_least(bound: float) -> tuple[Callable[[float], bool], str]:
    return (lambda value: value >= bound), f"at least {bound}"


_BOUNDS: Mapping[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(("epochs", "steps", "batch_size", "checkpoint_every", "diagnose_every"), _at_least(1)),
    **dict.fromkeys(("patience", "threads"), _at_least(1)),
    **dict.fromkeys(("learning_rate", "weight_decay", "warmup_steps", "workers"), _at_least(0)),
    # numpy and torch share no larger range of seeds.
    "seed": (lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
    "momentum": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    "clip_norm": (lambda value: value > 0, "more than 0"),
}


def _check_bounds(plan: Any) -> None:
    for key, (fits, words) in _BOUNDS.items():
        value = getattr(plan, key, None)
        if value is not None and not fits(value):
            raise TrainingError(key, f"[training] {key} must be {words}, not {value}.")


@frozen
class Group:
    """Optimiser settings for the parameters whose names match one of the patterns, e.g. `sampler.*`."""

    parameters: list[str]
    learning_rate: float | None = None
    weight_decay: float | None = None

    def __attrs_post_init__(self) -> None:
        _check_bounds(self)


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
        _check_bounds(self)


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

    def trusts(self, path: str) -> bool:
        """Whether the value at a dotted path was given by --set, alone or with the table around it."""
        while path:
            if path in self.settings:
                return True
            path = path.rpartition(".")[0]
        return False

    def of_stage(self, number: int, keys: Sequence[str]) -> Source:
        """The same for a stage's recipe, whose own `keys` stand in its `[[stage]]`; settings name it by its number."""
        prefix = f"stage.{number}."
        own = {key.removeprefix(prefix): n for key, n in self.lines.items() if key.startswith(prefix)}
        outside = {key: n for key, n in self.lines.items() if key not in keys}
        given = {key.removeprefix(prefix): value for key, value in self.settings.items()}
        return Source(self.file, {**outside, **own}, given)


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
        paths: from dotted paths (entries of lists by number, from 1) to the absolute file paths that composing found
            there, so that the recipe in a run folder still works from elsewhere; a stage shares it with its recipe.
        stage: the number of the stage that this is, from 1; and the dotted paths that it writes itself.
    """

    tree: Mapping[str, Any]
    source: Source
    folder: Path | None
    paths: dict[str, str] = field(factory=dict, eq=False)
    stage: tuple[int, frozenset[str]] | None = None

    @property
    def name(self) -> str:
        """`domain/name`."""
        return str(self.tree.get("recipe", {}).get("name", "unnamed"))

    def about(self, key: str) -> str:
        """title, summary or paper."""
        return str(self.tree.get("recipe", {}).get(key, ""))

    def remember(self, path: str, place: Path) -> None:
        """Keep the absolute path that the value at a dotted path stands for."""
        own = self.stage is not None and path in self.stage[1]
        self.paths[f"stage.{self.stage[0]}.{path}" if own and self.stage else path] = str(place.absolute())

    def resolved(self) -> dict[str, Any]:
        """The tree with every path that composing found made absolute."""
        tree = deepcopy(dict(self.tree))
        for path, place in self.paths.items():
            *parents, last = path.split(".")
            table: Any = tree
            for name in parents:
                table = table[int(name) - 1 if isinstance(table, list) else name]
            table[int(last) - 1 if isinstance(table, list) else last] = place
        return tree

    def single(self, kind: str) -> Section | None:
        """The section of a kind of which there is one."""
        table = self.tree.get(kind)
        return None if table is None else self._section(kind, table)

    def named(self, kind: str) -> dict[str, Section]:
        """The sections of a kind by their names, in order."""
        return {name: self._section(f"{kind}.{name}", table) for name, table in self.tree.get(kind, {}).items()}

    @property
    def training(self) -> Training:
        """The training plan."""

        def place(key: str) -> str:
            return self.source.where(f"training.{key}" if key else "training")

        try:
            return Training(**check(fields_of(Training), self.tree.get("training", {}), "[training]", place))
        except TrainingError as error:
            raise ContrastError(f"{place(error.key)}: {error}") from error

    def stages(self) -> list[tuple[str, Recipe]]:
        """The recipes to train one after the other, by name; a recipe without stages is its own only one."""
        stages = self.tree.get("stage", [])
        base = {key: value for key, value in self.tree.items() if key != "stage"}
        if not stages:
            return [("", self)]
        made = []
        for number, stage in enumerate(stages, 1):
            changes = {key: value for key, value in stage.items() if key != "name"}
            keys = _paths_of(changes)
            source = self.source.of_stage(number, keys)
            recipe = Recipe(_merged(base, changes), source, self.folder, self.paths, (number, frozenset(keys)))
            made.append((str(stage.get("name", number)), recipe))
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
        # Editors on Windows may begin a file with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContrastError(f"The recipe {path} can't be read: it is no text in UTF-8.") from error
    except OSError as error:
        raise ContrastError(f"The recipe {path} can't be read: {error.strerror or error}.") from error
    return parse_recipe(text, path.name, settings, None if trusted else path.resolve().parent)


def parse_recipe(text: str, file: str = "recipe", settings: Sequence[str] = (), folder: Path | None = None) -> Recipe:
    """A recipe from text; see `load_recipe`."""
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ContrastError(f"{file} is no valid TOML: {str(error).rstrip('.')}.") from error
    given: dict[str, str] = {}
    source = Source(file, _line_numbers(text), given)
    _check_stages(tree, source)
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not all(key.split(".")):
            raise ContrastError(f"--set {setting}: write section.key=value, for example --set training.epochs=5.")
        given[key] = value
        parsed = _value(value)
        _put(tree, key, parsed)
        for stage in tree.get("stage", []) if not key.startswith("stage") else []:
            if _has(stage, key):
                _put(stage, key, parsed)
    _check_sections(tree, source)
    return Recipe(tree, source, folder)


def _check_sections(tree: Mapping[str, Any], source: Source) -> None:
    for section, table in tree.items():
        if section not in SECTIONS:
            raise ContrastError(f"{source.where(section)}: a recipe has no section '{section}'."
                                f"{did_you_mean(section, SECTIONS)}")  # fmt: skip
        if section != "stage":
            _check_table(section, table, section, source)
    for key, value in tree.get("recipe", {}).items():
        if key not in ABOUT:
            hint = did_you_mean(key, ABOUT) or f" Its keys are: {', '.join(ABOUT)}."
            raise ContrastError(f"{source.where(f'recipe.{key}')}: [recipe] has no key '{key}'.{hint}")
        if not isinstance(value, str):
            place = source.where(f"recipe.{key}")
            raise ContrastError(f"{place}: '{key}' of [recipe] must be a text, not {shown(value)}.")
    _check_stages(tree, source)


def _check_table(section: str, table: Any, path: str, source: Source) -> None:
    if not isinstance(table, dict):
        raise ContrastError(f"{source.where(path)}: '{section}' must be a table, not {shown(table)}.")
    if section not in NAMED:
        return
    for name, inner in table.items():
        where = source.where(f"{path}.{name}")
        if not isinstance(inner, dict):
            raise ContrastError(
                f"{where}: every [{section}] has a name of its own: write [{section}.NAME] above '{name}'."
            )
        if not _NAME.fullmatch(name):
            raise ContrastError(
                f"{where}: the name in [{section}.NAME] is made of letters, digits, - and _, not '{name}'."
            )


def _check_stages(tree: Mapping[str, Any], source: Source) -> None:
    stages = tree.get("stage", [])
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise ContrastError(f"{source.where('stage')}: stages are written as tables, each under a line [[stage]].")
    for number, stage in enumerate(stages, 1):
        for section, table in stage.items():
            path = f"stage.{number}.{section}"
            if section not in STAGE:
                raise ContrastError(f"{source.where(path)}: stage {number} has no section '{section}'."
                                    f"{did_you_mean(section, STAGE)}")  # fmt: skip
            if section != "name":
                _check_table(section, table, path, source)
            elif not isinstance(table, str):
                raise ContrastError(
                    f"{source.where(path)}: the name of stage {number} must be a text, not {shown(table)}."
                )


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    table: Any = tree
    for place, name in enumerate(parents):
        if place == 0 and name == "stage" and name not in tree:
            raise ContrastError(f"--set {path}: this recipe has no stages.")
        if isinstance(table, list):
            if not (name.isdecimal() and 1 <= int(name) <= len(table)):
                raise ContrastError(f"--set {path}: a stage is named by its number, from 1 to {len(table)}.")
            table = table[int(name) - 1]
        else:
            table = table.setdefault(name, {})
        if not isinstance(table, dict) and not (place == 0 and name == "stage" and isinstance(table, list)):
            above = ".".join(parents[: place + 1])
            raise ContrastError(f"--set {path}: '{above}' is {shown(table)}, not a table: set {above} itself.")
    if isinstance(table, list):
        raise ContrastError(f"--set {path}: write the whole key, for example --set stage.1.training.epochs=5.")
    if last == "use" and table.get("use") != value:
        # Another component has other options.
        for key in [key for key in table if key not in ("weight", "after_encoder")]:
            del table[key]
    table[last] = value


def _has(tree: Mapping[str, Any], path: str) -> bool:
    table: Any = tree
    for name in path.split("."):
        if not isinstance(table, dict) or name not in table:
            return False
        table = table[name]
    return True


def _paths_of(table: Mapping[str, Any], above: str = "") -> list[str]:
    found = []
    for key, value in table.items():
        found.append(f"{above}{key}")
        if isinstance(value, dict):
            found += _paths_of(value, f"{above}{key}.")
    return found


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        exchanged = (
            isinstance(value, dict) and "use" in value and isinstance(old, dict) and old.get("use") != value["use"]
        )
        merged[key] = (
            _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) and not exchanged else value
        )
    return merged


def _line_numbers(text: str) -> dict[str, int]:
    """From dotted paths to the lines where they are written; tomllib does not tell."""
    header = ""
    stages = 0
    lines: dict[str, int] = {}
    pending = ""
    for number, line in enumerate(text.splitlines(), 1):
        if pending:
            # Within a value of several lines nothing is a header or a key.
            pending += f"\n{line}"
            pending = "" if _is_whole(pending) else pending
        elif table := _HEADER.match(line):
            header = ".".join(_parts(table[2]))
            if header == "stage" and table[1] == "[[":
                stages += 1
            if re.match(r"stage(\.|$)", header):
                header = f"stage.{stages}{header[len('stage') :]}"
                lines.setdefault("stage", number)
            lines.setdefault(header, number)
        elif key := _KEY.match(line):
            path = ".".join(_parts(key[1]))
            lines[f"{header}.{path}" if header else path] = number
            pending = "" if _is_whole(line) else line
    return lines


_WORD = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")


def _parts(dotted: str) -> list[str]:
    return [word.strip("\"'") for word in re.findall(_WORD, dotted)]


def _is_whole(lines: str) -> bool:
    try:
        tomllib.loads(lines)
    except tomllib.TOMLDecodeError:
        return False
    return True
