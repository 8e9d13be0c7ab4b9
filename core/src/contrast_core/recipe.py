"""Recipes: a pipeline, a data set, a training plan and an evaluation in one TOML file. No torch here.

[recipe]          name, title, summary, paper
[data]            use = "domain/name", and its options
[tasks]           use; optional: the data as a sequence of tasks, trained one after the other; not with stages
[rehearsal]       use; optional: what is kept of ended tasks and trained on again
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
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from attrs import field, frozen

from contrast_core.errors import ContrastError, did_you_mean
from contrast_core.plan import Group, Training, TrainingError
from contrast_core.schema import check, fields_of, shown
from contrast_core.tables import has, line_numbers, merged, paths_of, put, value_of

__all__ = ["Group", "Recipe", "Section", "Source", "Training", "TrainingError", "load_recipe", "parse_recipe"]

SINGLE = ("data", "encoder", "step")
CONTINUAL = ("tasks", "rehearsal")
NAMED = ("view", "memory", "sampler", "objective", "evaluation")
SECTIONS = ("recipe", *SINGLE, *CONTINUAL, *NAMED, "training", "stage")
ABOUT = ("name", "title", "summary", "paper")
STAGE = (*SINGLE, *NAMED, "training", "name")

_NAME = re.compile(r"[A-Za-z0-9_-]+")


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
            keys = paths_of(changes)
            source = self.source.of_stage(number, keys)
            recipe = Recipe(merged(base, changes), source, self.folder, self.paths, (number, frozenset(keys)))
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
    source = Source(file, line_numbers(text), given)
    _check_stages(tree, source)
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not all(key.split(".")):
            raise ContrastError(f"--set {setting}: write section.key=value, for example --set training.epochs=5.")
        given[key] = value
        parsed = value_of(value)
        put(tree, key, parsed)
        for stage in tree.get("stage", []) if not key.startswith("stage") else []:
            if has(stage, key):
                put(stage, key, parsed)
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
    if stages and (both := next((name for name in CONTINUAL if name in tree), None)):
        raise ContrastError(
            f"{source.where(both)}: a recipe has either [{both}] or stages, not both; a run of its own can train the "
            "stages first."
        )
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
