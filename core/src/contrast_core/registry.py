"""Discovery: which plugins are installed, what they register, and why a broken one does not work.

Plugins are found by their entry points in group `contrast`; pluggy calls their one hook. Each manifest is loaded in its
own try and its own thread: if it raises, hangs, was written for another contract, or claims a taken name, everything
of that plugin is rolled back and its reason kept, and the others are untouched. Nothing here imports torch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, TypeVar, final

import pluggy

from contrast_core import catalogue
from contrast_core.errors import ContrastError, did_you_mean
from contrast_core.loading import HungError, Patience, forget_modules, patience_wanted, sentence
from contrast_core.spec import API, KINDS, Component, Manifest, RecipeFile
from contrast_core.verdicts import Verdicts

GROUP = "contrast"
HOOK = "contrast_manifest"
SLOW_SECONDS = 1.0
UNKNOWN = "unknown"


class _Hooks:
    """The hooks a manifest module may define; they need no decorator."""

    @pluggy.HookspecMarker(GROUP)
    def contrast_manifest(self) -> Manifest:
        """Everything the plugin registers."""
        raise NotImplementedError


class _Manager(pluggy.PluginManager):
    """pluggy's manager; a function named like the hook is its implementation, decorated or not."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        options = super().parse_hookimpl_opts(plugin, name)
        return {} if options is None and name == HOOK and callable(getattr(plugin, name)) else options


@dataclass(frozen=True)
class Plugin:
    """One installed plugin and how loading it went.

    Args:
        name: the entry point's name; distribution and version: who ships it.
        manifest: what it registered; None if it is broken or not allowed.
        problem: one sentence why it is not usable, or "".
        warnings: sentences about what works but should be mended (slow, imports torch).
        seconds: how long its manifest took to load.
        claimed: (kind, name) of what a broken plugin would register, as far as it is known.
        cure: what the user can do, where `problem` does not say it itself.
    """

    name: str
    distribution: str
    version: str
    manifest: Manifest | None
    problem: str
    warnings: tuple[str, ...]
    seconds: float
    claimed: tuple[tuple[str, str], ...] = ()
    cure: str = ""

    @property
    def label(self) -> str:
        """Its distribution, or its name where that is not known."""
        return self.name if self.distribution == UNKNOWN else self.distribution

    @property
    def broken(self) -> bool:
        """Whether it is unusable for another reason than that it is not allowed."""
        return bool(self.problem) and self.problem != _NOT_ALLOWED


class Registry:
    """All plugins, and the components and recipes of those that work."""

    def __init__(self, plugins: Sequence[Plugin]):
        self.plugins = tuple(plugins)
        self.components: dict[tuple[str, str], Component] = {}
        self.recipes: dict[str, RecipeFile] = {}
        self._owner: dict[tuple[str, str], Plugin] = {}
        for plugin in plugins:
            if plugin.manifest:
                for component in plugin.manifest.components:
                    self.components[component.kind, component.name] = component
                    self._owner[component.kind, component.name] = plugin
                for recipe in plugin.manifest.recipes:
                    self.recipes[recipe.name] = recipe
                    self._owner["recipe", recipe.name] = plugin

    def owner(self, spec: Component | RecipeFile) -> Plugin:
        """The plugin that registered a spec."""
        return self._owner[spec.kind if isinstance(spec, Component) else "recipe", spec.name]

    def of_kind(self, kind: str) -> list[Component]:
        """All components of one kind, by name."""
        if kind not in KINDS:
            raise ContrastError(f"'{kind}' is no kind of component; the kinds are {', '.join(KINDS)} and recipe.")
        return [component for (k, _), component in sorted(self.components.items()) if k == kind]

    def component(self, kind: str, name: str) -> Component:
        """The component of that kind and full or short name.

        Raises:
            ContrastError: if it is unknown (with the nearest names and who has it) or a short name is ambiguous.
        """
        return _resolve(name, {c.name: c for c in self.of_kind(kind)}, kind, self)

    def recipe(self, name: str) -> RecipeFile:
        """The recipe of that full or short name; raises like `component`."""
        return _resolve(name, self.recipes, "recipe", self)

    def anything(self, name: str) -> Component | RecipeFile:
        """A component or recipe by name; where several kinds share it, write kind:name."""
        kind, _, rest = name.rpartition(":")
        if kind == "recipe":
            return self.recipe(rest)
        if kind:
            return self.component(kind, rest)
        known: dict[str, Component | RecipeFile] = {f"recipe:{n}": r for n, r in self.recipes.items()}
        known |= {f"{kind}:{n}": c for (kind, n), c in self.components.items()}
        matches = [key for key in known if key.partition(":")[2] == name]
        matches = matches or [key for key in known if key.partition(":")[2].rpartition("/")[2] == name]
        if len(matches) > 1:
            raise ContrastError(f"'{name}' may be {' or '.join(sorted(matches))}: write one of these.")
        if not matches:
            names = {key.partition(":")[2]: known[key] for key in known}
            return _resolve(name, names, "component or recipe", self)
        return known[matches[0]]


Spec = TypeVar("Spec")


def _resolve(name: str, known: Mapping[str, Spec], kind: str, registry: Registry) -> Spec:
    if name in known:
        return known[name]
    matches = sorted(full for full in known if full.rpartition("/")[2] == name)
    if len(matches) == 1:
        return known[matches[0]]
    if matches:
        raise ContrastError(f"The {kind} '{name}' may be {' or '.join(matches)}: write the full name.")
    provider = catalogue.provider_of(name)
    unusable = [plugin for plugin in registry.plugins if plugin.problem]
    for plugin in unusable:
        if _may_have(plugin, name, provider):
            state = "is broken" if plugin.broken else "is left out"
            raise ContrastError(f"The {kind} '{name}' belongs to {plugin.label}, which {state}: {plugin.problem}")
    here = {label for plugin in registry.plugins for label in (plugin.name, plugin.distribution)}
    if provider and not here & {provider["domain"], provider["distribution"]}:
        where = provider["distribution"]
        if provider["status"] != "available":
            raise ContrastError(f"The {kind} '{name}' belongs to {where}, which is planned but not published yet.")
        raise ContrastError(f"The {kind} '{name}' is in {where}, which is not installed: pip install {where}")
    hint = did_you_mean(name, known)
    reasons = "".join(f" The plugin {p.name} is broken and may have had it: {p.problem}" for p in unusable if p.broken)
    raise ContrastError(f"There is no {kind} '{name}'.{hint}{reasons}")


def _may_have(plugin: Plugin, name: str, provider: Mapping[str, Any] | None) -> bool:
    domain = name.rpartition("/")[0]
    claims = {claimed if domain else claimed.rpartition("/")[2] for _, claimed in plugin.claimed}
    distribution = provider["distribution"] if provider else None
    return name in claims or plugin.name == domain or plugin.distribution == distribution


def discover(
    found: Iterable[EntryPoint] | None = None,
    *,
    allowed: str | None = None,
    strict: bool | None = None,
    again: bool = False,
) -> Registry:
    """Load the manifests of all installed plugins.

    A manifest that takes longer than 2 s, or the seconds in CONTRAST_PATIENCE, is not waited for, and not tried again
    before it changes, somebody is more patient, or `again` is true.

    Args:
        found: entry points to load instead of the installed ones.
        allowed: comma-separated plugin names that may be loaded; by default the variable CONTRAST_PLUGINS, or all.
        strict: raise at the first broken plugin; by default whether CONTRAST_STRICT is 1.
        again: try those too that hung before.

    Raises:
        ContrastError: in strict mode, if a plugin is broken; or if CONTRAST_PATIENCE is no number of seconds.
    """
    points = entry_points(group=GROUP) if found is None else found
    allowed = os.environ.get("CONTRAST_PLUGINS") if allowed is None else allowed
    names = {name.strip() for name in allowed.split(",")} if allowed else None
    strict = os.environ.get("CONTRAST_STRICT") == "1" if strict is None else strict
    loader = _Loader(patience_wanted(), again)
    # The core first, then by name: so the winner of a contested name never depends on the order of folders.
    for point in sorted(set(points), key=lambda p: (p.value != _CORE, p.name, p.value)):
        permitted = names is None or point.name in names or point.value == _CORE
        plugin = loader.load(point) if permitted else _left_out(point)
        if strict and plugin.broken:
            raise ContrastError(f"The plugin {plugin.label} is broken: {plugin.problem}")
        loader.plugins.append(plugin)
    return Registry(loader.plugins)


_CORE = "contrast_core.manifest"
_NOT_ALLOWED = "CONTRAST_PLUGINS does not allow it."


def _left_out(point: EntryPoint) -> Plugin:
    return Plugin(point.name, *_shipped_by(point), None, _NOT_ALLOWED, (), 0.0)


@final
class _Loader:
    """Loads one plugin after the other, each with what `plugins` holds before it."""

    def __init__(self, seconds: float, again: bool):
        self.plugins: list[Plugin] = []
        self._modules: dict[str, str] = {}
        self._seconds, self._again, self._verdicts = seconds, again, Verdicts()

    def load(self, point: EntryPoint) -> Plugin:
        """The plugin of an entry point, broken or not."""
        who = _shipped_by(point)
        known = None if who[0] == UNKNOWN else who[0]
        waited = self._verdicts.waited(point, *who)
        if waited >= self._seconds and not self._again:
            problem = f"Its manifest did not load within {waited:g} s, the last time; contrast doctor tries again."
            return Plugin(point.name, *who, None, problem, (), 0.0)
        patience, start = Patience(self._seconds), time.perf_counter()
        manifest: Manifest | None = None
        problem, cure, claimed, hung = "", "", list[tuple[str, str]](), 0.0
        try:
            # The core is trusted to end, and threads cost a little.
            module, manifest = _register(point) if point.value == _CORE else patience.run(lambda: _register(point))
            _check_api(manifest, known)
            _check(point, module, manifest, self.plugins, self._modules)
            self._modules[module] = point.name
        except Exception as error:
            problem = sentence(error, point, known)
            hung = error.seconds if isinstance(error, HungError) else 0.0
            cure = _cure(problem, known, hung)
            claimed, manifest = _keys(manifest) if manifest else [], None
            forget_modules(point, patience.before)
        if hung or waited:
            self._verdicts.record(point, *who, hung)
        seconds = time.perf_counter() - start
        warnings = [
            f"Its manifest imports {name}, which makes every command slow; its components' modules should import it."
            for name in patience.heavy
        ]
        if seconds > SLOW_SECONDS and not hung:
            warnings.append(f"Its manifest takes {seconds:.1f} s to load.")
        return Plugin(point.name, *who, manifest, problem, tuple(warnings), seconds, tuple(claimed), cure)


def _cure(problem: str, distribution: str | None, hung: float) -> str:
    """What to do about a problem whose sentence does not say it."""
    if ": pip install " in problem:
        return ""
    leave = f"pip uninstall {distribution}" if distribution else "uninstall it"
    if hung:
        return f"Give it longer with CONTRAST_PATIENCE={5 * hung:g} contrast doctor, tell its authors, or {leave}."
    return f"Tell its authors, or {leave}."


def _shipped_by(point: EntryPoint) -> tuple[str, str]:
    try:
        return (point.dist.name, point.dist.version) if point.dist else (UNKNOWN, UNKNOWN)
    except Exception:
        # Damaged metadata: the plugin itself may be fine.
        return UNKNOWN, UNKNOWN


def _register(point: EntryPoint) -> tuple[str, Manifest]:
    """The module's name and the manifest, by a pluggy manager of their own: a broken plugin leaves nothing there."""
    if not EntryPoint.pattern.match(point.value):
        raise ContrastError(f"Its entry point '{point.value}' is malformed: it must name a module.")
    module = point.load()
    if not isinstance(module, ModuleType) or not callable(getattr(module, HOOK, None)):
        raise ContrastError(f"Its entry point '{point.value}' names no module with a function {HOOK}().")
    manager = _Manager(GROUP)
    manager.add_hookspecs(_Hooks)
    manager.register(module, point.name)
    results = manager.hook.contrast_manifest()
    manifest = results[0] if results else None
    if not isinstance(manifest, Manifest):
        raise ContrastError(f"Its {HOOK}() returned {type(manifest).__name__}, not a Manifest.")
    return module.__name__, manifest


def _check_api(manifest: Manifest, distribution: str | None) -> None:
    if manifest.api != API:
        newer = "contrast-core" if manifest.api > API else distribution
        cure = f": pip install --upgrade {newer}" if newer else "."
        raise ContrastError(f"It was written for api {manifest.api}, this core has api {API}{cure}")


def _check(
    point: EntryPoint, module: str, manifest: Manifest, earlier: Sequence[Plugin], modules: Mapping[str, str]
) -> None:
    if any(point.name == plugin.name for plugin in earlier if plugin.manifest):
        raise ContrastError(f"Another plugin is already called '{point.name}'.")
    if module in modules:
        raise ContrastError(f"Its module {module} is the plugin '{modules[module]}' already.")
    taken = {key: p.label for p in earlier if p.manifest for key in _keys(p.manifest)}
    own: set[tuple[str, str]] = set()
    for kind, name in _keys(manifest):
        if (kind, name) in own:
            raise ContrastError(f"It registers the {kind} '{name}' twice.")
        if (kind, name) in taken:
            raise ContrastError(f"It registers the {kind} '{name}', which {taken[kind, name]} has already.")
        own.add((kind, name))


def _keys(manifest: Manifest) -> list[tuple[str, str]]:
    return [(c.kind, c.name) for c in manifest.components] + [("recipe", r.name) for r in manifest.recipes]
