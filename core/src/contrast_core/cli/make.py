"""The command that makes something to start from: new. It imports no torch."""

from __future__ import annotations

from argparse import Namespace

from contrast_core import catalogue, scaffold
from contrast_core.errors import ContrastError
from contrast_core.registry import discover


def new(given: Namespace) -> int:
    """contrast new contrast-NAME: a plugin package of one's own."""
    _check_free(given.distribution)
    place = scaffold.write(
        given.distribution, given.folder, author=given.author, licence=given.licence, description=given.description
    )
    print(f"{given.distribution} is in {place}. It works as it is:\n")
    print(f"    cd {place}\n    pip install -e '.[test]'\n    pytest")
    print(f"    contrast run {given.distribution.removeprefix('contrast-')}/tabular\n")
    print("Then change its parts; README.md says how.")
    return 0


def _check_free(distribution: str) -> None:
    """Refuse a name under which a plugin is known: of two the second would be left out."""
    domain = distribution.removeprefix("contrast-")
    for entry in catalogue.entries():
        if distribution == entry["distribution"] or domain == entry["domain"]:
            raise ContrastError(
                f"{entry['distribution']} is a plugin of contrast's own ({entry['summary']}): choose another name."
            )
    for plugin in discover().plugins:
        if domain == plugin.name or distribution == plugin.distribution.lower().replace("_", "-"):
            raise ContrastError(
                f"The installed {plugin.label} {plugin.version} is the plugin '{plugin.name}' already: "
                "choose another name, or uninstall it first."
            )
