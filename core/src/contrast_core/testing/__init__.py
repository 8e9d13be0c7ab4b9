"""The conformance kit: what every user of a component may rely on, checked for any plugin, whoever wrote it.

    contrast check contrast-mine            in the shell
    check("contrast-mine").ok               in Python
    @pytest.mark.contrast("contrast-mine")  in a test suite: a test for each check, see `pytest_plugin`

Each component is looked at in an *example*: a recipe of its plugin that uses it, an entry in the plugin's checks.toml,
or one of the kit's scenes, which are made of the core's parts. What could not be looked at is never passed over in
silence: a component without an example fails the check `has-an-example`, every skipped check has a reason, and a
failure that is expected has one too, in checks.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contrast_core.errors import ContrastError, did_you_mean

if TYPE_CHECKING:
    from contrast_core.registry import Plugin, Registry
    from contrast_core.testing.outcome import Report
    from contrast_core.testing.session import Session

__all__ = ["check", "session_of"]


def check(distribution: str, *, only: Sequence[str] = (), components: Sequence[str] = ()) -> Report:
    """Run all checks of an installed plugin.

    Args:
        distribution: the name of its distribution ("contrast-mine") or entry point ("mine").
        only: names of checks to run; empty means all.
        components: names of components to check, "mine/margin" or "objective:mine/margin"; empty means all.

    Raises:
        ContrastError: if no such plugin is installed, it is broken, or its checks.toml can't be read.
    """
    from contrast_core.testing.outcome import Report

    made = session_of(distribution, only=only, components=components)
    return Report(made.plugin.distribution, made.plugin.version, list(made.results()))


def session_of(distribution: str, *, only: Sequence[str] = (), components: Sequence[str] = ()) -> Session:
    """The checks of a plugin, to be run one by one; see `check`."""
    from contrast_core.registry import discover
    from contrast_core.testing.session import Session

    registry = discover()
    return Session(_plugin(distribution, registry), registry, only, components)


def _plugin(distribution: str, registry: Registry) -> Plugin:
    for plugin in registry.plugins:
        if distribution in (plugin.distribution, plugin.name):
            if plugin.manifest is None:
                raise ContrastError(f"The plugin {plugin.label} can't be checked: {plugin.problem}")
            return plugin
    known = [plugin.distribution for plugin in registry.plugins]
    hint = did_you_mean(distribution, known) or f" Installed are: {', '.join(known)}."
    raise ContrastError(f"No plugin '{distribution}' is installed.{hint}")
