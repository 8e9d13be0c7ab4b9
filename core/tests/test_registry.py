"""Discovery: good plugins work, whatever the others do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from contrast_core import loading
from contrast_core import registry as module
from contrast_core.errors import ContrastError
from contrast_core.registry import GROUP, Registry, discover

CORE = EntryPoint("core", "contrast_core.manifest", GROUP)
GOOD = """
from contrast_core.spec import Component, Manifest, RecipeFile

def contrast_manifest():
    return Manifest(API, [Component("objective", "NAME/loss", "NAME_parts:Loss", "A loss.")],
                    [RecipeFile("NAME/first", "reg_NAME", "first.toml", "A recipe.")])
"""

Make = Callable[..., EntryPoint]


class Distribution:
    """Who ships a plugin."""

    def __init__(self, name: str):
        self.name, self.version = name, "2.0"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes the package reg_NAME with a manifest and returns its entry point."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("CONTRAST_PLUGINS", raising=False)
    monkeypatch.delenv("CONTRAST_STRICT", raising=False)
    monkeypatch.delenv("CONTRAST_PATIENCE", raising=False)
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path / "cache"))
    for name in [name for name in sys.modules if name.startswith("reg_")]:
        monkeypatch.delitem(sys.modules, name)

    def write(name: str, text: str = GOOD, api: int = 1, value: str = "") -> EntryPoint:
        folder = tmp_path / f"reg_{name}"
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "helper.py").write_text("")
        (folder / "manifest.py").write_text(text.replace("NAME", name).replace("API", str(api)))
        point = EntryPoint(name, value or f"reg_{name}.manifest", GROUP)
        return point._for(Distribution(f"contrast-{name}"))  # type: ignore[attr-defined, no-any-return]

    return write


def problem(registry: Registry, name: str) -> str:
    """Why a plugin does not work."""
    return next(plugin.problem for plugin in registry.plugins if plugin.name == name)


def test_a_good_plugin_works_beside_the_core(make: Make) -> None:
    """By full name, short name and kind:name, with its owner."""
    found = discover([make("alpha"), CORE])
    assert [plugin.name for plugin in found.plugins] == ["core", "alpha"]
    assert not any(plugin.problem or plugin.warnings for plugin in found.plugins)
    loss = found.component("objective", "alpha/loss")
    assert found.component("objective", "loss") is found.anything("loss") is found.anything("objective:loss") is loss
    assert found.anything("recipe:first") is found.recipe("alpha/first")
    assert found.owner(loss).distribution == found.owner(found.recipe("first")).distribution == "contrast-alpha"
    assert found.owner(loss).version == "2.0"


def test_a_decorated_hook_works_too(make: Make) -> None:
    """With pluggy's marker, as its users know it."""
    text = "import pluggy\n" + GOOD.replace("def ", "@pluggy.HookimplMarker('contrast')\ndef ")
    assert discover([make("alpha", text)]).component("objective", "loss").name == "alpha/loss"


BROKEN = {
    "1/0": "Its manifest raised ZeroDivisionError: division by zero",
    "raise SystemExit(3)": "Its manifest raised SystemExit: 3",
    "raise KeyboardInterrupt": "Its manifest raised KeyboardInterrupt: no message",
    "class Odd(Exception):\n def __str__(self): raise self\nraise Odd": "Its manifest raised Odd.",
    "raise ValueError('two\\nlines')": "Its manifest raised ValueError: two lines",
    "import no_such_package.sub": "Its manifest needs no_such_package, which is not installed: pip install --upgrade "
    "contrast-bad",
    "import reg_bad.lost": "Its module reg_bad.lost is not there: pip install --force-reinstall contrast-bad",
    "from math import no_such_name": "Its manifest raised ImportError: cannot import name 'no_such_name' from 'math'",
    "x = ": "Its manifest raised SyntaxError: invalid syntax",
    "x = 1": "Its entry point 'reg_bad.manifest' names no module with a function contrast_manifest()",
    "contrast_manifest = 3": "Its entry point 'reg_bad.manifest' names no module with a function contrast_manifest()",
    "def contrast_manifest(): return [1]": "Its contrast_manifest() returned list, not a Manifest.",
    "def contrast_manifest(): pass": "Its contrast_manifest() returned NoneType, not a Manifest.",
    "def contrast_manifest(): raise KeyError('x')": "Its manifest raised KeyError: 'x'",
    "def contrast_manifest(what): pass": "Its manifest raised PluginValidationError",
    GOOD.replace("objective", "loss"): "Its manifest raised ValueError: 'loss' is no kind of component",
    GOOD.replace("API", "2"): "It was written for api 2, this core has api 1: pip install --upgrade contrast-core",
    GOOD.replace("API", "0"): "It was written for api 0, this core has api 1: pip install --upgrade contrast-bad",
    GOOD.replace("API", "'1'"): "The api of a manifest is a whole number, 1 for this core, not '1'",
    GOOD.replace("NAME/loss", "core/infonce"): "It registers the objective 'core/infonce', which core has",
    GOOD.replace("NAME/loss", "alpha/loss"): "It registers the objective 'alpha/loss', which contrast-alpha has",
    GOOD.replace("NAME/first", "alpha/first"): "It registers the recipe 'alpha/first', which contrast-alpha has",
    GOOD.replace("[RecipeFile", "2 * [RecipeFile"): "It registers the recipe 'bad/first' twice.",
}


@pytest.mark.parametrize(("text", "reason"), BROKEN.items())
def test_a_broken_plugin_is_rolled_back_and_explained(make: Make, text: str, reason: str) -> None:
    """Its modules and components are gone, the others work, and asking for something of it names the reason."""
    bad = make("bad", f"import reg_bad.helper\n{text}")
    found = discover([bad, make("alpha"), make("omega"), CORE])
    assert reason in problem(found, "bad")
    assert "\n" not in problem(found, "bad")
    assert not [name for name in sys.modules if name.startswith("reg_bad")]
    (broken,) = [plugin for plugin in found.plugins if plugin.broken]
    assert broken.cure == (
        "" if ": pip install" in broken.problem else "Tell its authors, or pip uninstall contrast-bad."
    )
    assert not any(name.startswith("bad/") for _, name in found.components)
    assert {"alpha/loss", "omega/loss", "core/infonce"} <= {name for _, name in found.components}
    for name in ("bad/loss", "bad/anything"):
        with pytest.raises(ContrastError, match=f"'{name}' belongs to contrast-bad, which is broken: ") as error:
            found.component("objective", name)
        assert reason in str(error.value)
    with pytest.raises(ContrastError, match=r"no recipe 'only'.* The plugin bad is broken and may have had it: "):
        found.recipe("only")


def test_a_broken_plugin_is_named_by_the_short_name_of_what_it_claims(make: Make) -> None:
    """As far as its manifest could be read."""
    found = discover([make("bad", GOOD.replace("NAME/loss", "other/special").replace("API", "7"))])
    with pytest.raises(ContrastError, match="'special' belongs to contrast-bad, which is broken: It was written for"):
        found.component("objective", "special")


@pytest.mark.parametrize("value", ["!!", "", "reg_alpha.manifest:no_such", "no_such_module_here"])
def test_a_malformed_entry_point_breaks_nothing(make: Make, value: str) -> None:
    """The metadata of one distribution must not stop the others."""
    found = discover([EntryPoint("odd", value, GROUP), make("alpha")])
    assert problem(found, "odd")
    assert found.component("objective", "loss")


def test_two_plugins_of_one_name_or_one_module(make: Make) -> None:
    """The first by name, then by module, stays."""
    one, two = make("alpha"), make("beta")
    again = EntryPoint("alpha", two.value, GROUP)
    found = discover([again, two, one])
    assert [plugin.problem for plugin in found.plugins] == ["", "Another plugin is already called 'alpha'.", ""]
    assert again.name in {p.name for p in found.plugins if p.manifest}
    impostor = discover([EntryPoint("core", one.value, GROUP), CORE])
    assert [plugin.problem for plugin in impostor.plugins] == ["", "Another plugin is already called 'core'."]
    assert impostor.component("objective", "infonce").name == "core/infonce"
    other = discover([one, EntryPoint("zeta", one.value, GROUP)])
    assert problem(other, "zeta") == "Its module reg_alpha.manifest is the plugin 'alpha' already."
    assert other.component("objective", "loss").name == "alpha/loss"


def test_slow_heavy_and_talkative_manifests_work_with_a_warning(
    make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And what they print does not end up in the output of a command."""
    (tmp_path / "reg_heavy_library.py").write_text("")
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(loading, "HEAVY", ("reg_heavy_library",))
    found = discover([make("alpha", "import reg_heavy_library\nprint('hello')\n" + GOOD)])
    heavy, slow = found.plugins[0].warnings
    assert heavy.startswith("Its manifest imports reg_heavy_library, which makes every command slow; ")
    assert slow.startswith("Its manifest takes 0.")
    assert not found.plugins[0].problem
    assert capsys.readouterr().out == ""


def test_the_allow_list(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those, and the core; the others are not even imported."""
    monkeypatch.setenv("CONTRAST_PLUGINS", "alpha, gamma")
    found = discover([make("alpha"), make("beta"), CORE], strict=True)
    assert [bool(plugin.manifest) for plugin in found.plugins] == [True, True, False]
    assert not found.plugins[2].broken
    assert not discover([EntryPoint("core", "reg_beta.manifest", GROUP)]).plugins[0].manifest
    assert "reg_beta" not in sys.modules
    with pytest.raises(ContrastError, match="contrast-beta, which is left out: CONTRAST_PLUGINS does not allow it"):
        found.anything("beta/loss")


def test_strict_mode_raises_at_the_first_broken_plugin(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """For continuous integration."""
    monkeypatch.setenv("CONTRAST_STRICT", "1")
    with pytest.raises(ContrastError, match="The plugin contrast-bad is broken: Its manifest raised ZeroDivisionError"):
        discover([make("alpha"), make("bad", "1/0")])


def test_names_that_are_ambiguous_unknown_planned_or_not_installed(make: Make) -> None:
    """Each gets a sentence that says what to do."""
    found = discover([make("alpha"), make("omega"), CORE])
    sentences = {
        "loss": "'loss' may be objective:alpha/loss or objective:omega/loss: write one of these",
        "InfoNCE": "There is no component or recipe 'InfoNCE'. Did you mean core/infonce, core/mv-infonce",
        "graph/meow": "is in contrast-graph, which is not installed: pip install contrast-graph",
        "MEOW": "is in contrast-graph, which is not installed: pip install contrast-graph",
        "vision/hydra": "belongs to contrast-vision, which is planned but not published yet",
        "Hydra": "belongs to contrast-vision, which is planned but not published yet",
        "loss:infonce": "'loss' is no kind of component; the kinds are data, tasks",
        "data:infonce": "There is no data 'infonce'.",
        "": "There is no component or recipe ''.",
    }
    for name, sentence in sentences.items():
        with pytest.raises(ContrastError) as error:
            found.anything(name)
        assert sentence in str(error.value)
    with pytest.raises(ContrastError, match="'loss' may be alpha/loss or omega/loss: write the full name"):
        found.component("objective", "loss")
