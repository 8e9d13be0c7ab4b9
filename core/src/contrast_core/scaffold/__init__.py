"""The package that `contrast new` writes: a plugin to start from, rendered from the template beside this file.

The template is one of cookiecutter's format, so cookiecutter renders it too: `cookiecutter PATH/scaffold/template`.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from contrast_core.errors import ContrastError

TEMPLATE = Path(__file__).parent / "template"
_NAME = re.compile(r"contrast(-[a-z0-9]+)+")


def variables() -> dict[str, object]:
    """What the template asks for, and its defaults, as cookiecutter.json says; a list holds the choices."""
    found: dict[str, object] = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    return found


def licences() -> tuple[str, ...]:
    """The licences that can be chosen."""
    choices = variables()["licence"]
    assert isinstance(choices, list)
    return tuple(choices)


def write(distribution: str, folder: Path, *, author: str = "", licence: str = "MIT", description: str = "") -> Path:
    """Write the package into a new folder of its name, whole or not at all.

    Args:
        distribution: its name, contrast-<name> in lower-case letters and digits with dashes.
        folder: where its folder is made.
        author: for the licence and the metadata; "The authors of <distribution>" if left out.
        licence: one of `licences()`; "none" reserves all rights.
        description: one line.

    Returns:
        The package's folder.

    Raises:
        ContrastError: for a name, author, licence or description that can't be, or a folder that is taken.
    """
    given = {
        "distribution": distribution,
        "author": author.strip(),
        "licence": licence,
        "description": description.strip(),
    }
    target = folder / distribution
    _check(given, target)
    rendered = list(_rendered(given))
    temporary = folder / f".{distribution}.{secrets.token_hex(4)}"
    try:
        for path, text in rendered:
            place = temporary / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _check(given: dict[str, str], target: Path) -> None:
    if not _NAME.fullmatch(given["distribution"]):
        raise ContrastError(
            "A plugin is called contrast-<name>, in lower-case letters and digits with single dashes between them, "
            f"such as contrast-mine; not '{given['distribution']}'."
        )
    if given["licence"] not in licences():
        raise ContrastError(f"The licence is one of {', '.join(licences())}, not '{given['licence']}'.")
    for what in ("author", "description"):
        if not given[what].isprintable() or '"' in given[what] or "\\" in given[what]:
            raise ContrastError(
                f"The {what} must be one line without quotation marks and backslashes, not {given[what]!r}."
            )
    if not target.parent.is_dir():
        raise ContrastError(f"There is no folder {target.parent} to make {target.name} in.")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ContrastError(f"{target} exists already and is not empty; choose another name or another folder (--in).")


def _rendered(given: dict[str, str]) -> Iterator[tuple[Path, str]]:
    """Path and text of every file."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    # The year is a tag of cookiecutter's own there.
    values = {**{name: text for name, text in given.items() if text}, "__year": str(datetime.now(UTC).year)}
    for name, default in variables().items():
        if name not in values:
            values[name] = environment.from_string(str(default)).render(cookiecutter=values)
    (root,) = TEMPLATE.glob("{{*}}")
    for path in sorted(root.rglob("*")):
        # An installer may have compiled what is no module of ours.
        if path.is_file() and "__pycache__" not in path.parts:
            name, text = (
                environment.from_string(source).render(cookiecutter=values)
                for source in (path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
            )
            # The one file that a choice leaves empty.
            if name != "LICENSE" or text.strip():
                yield Path(name), text
