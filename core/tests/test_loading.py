"""A manifest that hangs costs two seconds once, and nothing else."""

from __future__ import annotations

import gc
import json
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from contrast_core import loading
from contrast_core.errors import ContrastError
from contrast_core.loading import Patience
from contrast_core.registry import GROUP, Plugin, Registry, discover
from contrast_core.verdicts import FILE

GOOD = """
from contrast_core.spec import Component, Manifest
def contrast_manifest():
    return Manifest(1, [Component("objective", "NAME/loss", "NAME_parts:Loss", "A loss.")])
"""
STUCK = "import hang_gate\nhang_gate.tried.append(1)\nhang_gate.opened.wait(60)\n" + GOOD
LATE = STUCK.replace(GOOD, "print('late')\nimport hang_stuck.late\nhang_gate.imported.append(1)\n" + GOOD)
IN_HOOK = "import hang_gate\n" + GOOD.replace(
    "    return", "    hang_gate.tried.append(1)\n    hang_gate.opened.wait(60)\n    return"
)
REASON = "Its manifest did not load within 0.5 s."
AGAIN = "Its manifest did not load within 0.5 s, the last time; contrast doctor tries again."

Make = Callable[..., EntryPoint]


class Distribution:
    """Who ships a plugin."""

    def __init__(self, name: str):
        self.name, self.version = name, "2.0"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes the package hang_NAME with a manifest and returns its entry point; 0.5 s are waited for it."""
    monkeypatch.syspath_prepend(tmp_path)
    for variable in ("CONTRAST_PLUGINS", "CONTRAST_STRICT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CONTRAST_PATIENCE", "0.5")
    for name in [name for name in sys.modules if name.startswith("hang_")]:
        monkeypatch.delitem(sys.modules, name)

    def write(name: str, text: str = GOOD) -> EntryPoint:
        folder = tmp_path / f"hang_{name}"
        folder.mkdir()
        for file in ("__init__.py", "late.py"):
            (folder / file).write_text("")
        (folder / "manifest.py").write_text(text.replace("NAME", name))
        point = EntryPoint(name, f"hang_{name}.manifest", GROUP)
        return point._for(Distribution(f"contrast-{name}"))  # type: ignore[attr-defined, no-any-return]

    return write


@pytest.fixture
def gate(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module by which stuck manifests tell how often they were tried and can be let go; at the end they are."""
    text = "import threading\nopened, tried, imported = threading.Event(), [], []\n"
    (tmp_path / "hang_gate.py").write_text(text)
    before = set(threading.enumerate())
    module = import_module("hang_gate")

    def free() -> None:
        module.opened.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(60)

    vars(module)["free"] = free
    yield module
    free()
    sys.modules.pop("hang_gate", None)


def plugin(registry: Registry, name: str) -> Plugin:
    """One of the plugins that were found."""
    return next(plugin for plugin in registry.plugins if plugin.name == name)


@pytest.mark.parametrize("text", [STUCK, IN_HOOK], ids=["at import", "in its function"])
def test_a_manifest_that_hangs_is_broken_and_the_others_work(make: Make, gate: Any, text: str) -> None:
    """With its reason, also where something of it is asked for; its modules are gone."""
    found = discover([make("alpha"), make("stuck", text), make("zeta")])
    assert [p.problem for p in found.plugins] == ["", REASON, ""]
    assert plugin(found, "stuck").cure == (
        "Give it longer with CONTRAST_PATIENCE=2.5 contrast doctor, tell its authors, or pip uninstall contrast-stuck."
    )
    assert [name for _, name in found.components] == ["alpha/loss", "zeta/loss"]
    assert not [name for name in sys.modules if name.startswith("hang_stuck")]
    with pytest.raises(ContrastError, match=f"'stuck/loss' belongs to contrast-stuck, which is broken: {REASON}"):
        found.component("objective", "stuck/loss")


def test_one_that_ends_later_wins_nothing_and_prints_nowhere(
    make: Make, gate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name is free for others, its module does not arrive, and standard output is that of the command."""
    stuck = make("stuck", LATE)
    found = discover([make("alpha"), stuck])
    print("before")
    gate.free()
    print("after", flush=True)
    assert gate.imported
    assert "hang_stuck.manifest" not in sys.modules
    assert not plugin(found, "stuck").manifest
    assert [name for _, name in found.components] == ["alpha/loss"]
    assert capsys.readouterr().out == "before\nafter\n"
    other = discover([make("other", GOOD.replace("NAME", "stuck")), stuck])
    assert plugin(other, "other").manifest


def test_it_is_waited_for_once(make: Make, gate: Any, tmp_path: Path) -> None:
    """Until somebody asks for it, has more patience, or the manifest changes; one that loads then is forgotten."""
    stuck, file = make("stuck", IN_HOOK), tmp_path / "cache" / FILE
    for again, reason, tried in ((False, REASON, 1), (False, AGAIN, 1), (True, REASON, 2), (False, AGAIN, 2)):
        assert [p.problem for p in discover([stuck], again=again).plugins] == [reason]
        assert len(gate.tried) == tried
    (tmp_path / "hang_stuck" / "manifest.py").touch()
    assert discover([stuck]).plugins[0].problem == REASON
    assert len(json.loads(file.read_text())) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRAST_PATIENCE", "0.6")
        assert discover([stuck]).plugins[0].problem == REASON.replace("0.5", "0.6")
    assert len(gate.tried) == 4
    assert discover([stuck]).plugins[0].problem == AGAIN.replace("0.5", "0.6")
    gate.free()
    file.write_text(json.dumps(dict(list(json.loads(file.read_text()).items())[1:])))
    assert not discover([stuck], again=True).plugins[0].problem
    assert not file.exists()


def test_without_a_cache_folder_it_is_waited_for_every_time(
    make: Make, gate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that is all that happens."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path / "file"))
    stuck = make("stuck", STUCK)
    assert [discover([stuck]).plugins[0].problem for _ in range(2)] == [REASON, REASON]


def test_strict_mode_raises_for_one_that_hangs(make: Make, gate: Any) -> None:
    """Known before or not."""
    stuck = make("stuck", STUCK)
    for reason in (REASON, AGAIN):
        with pytest.raises(ContrastError, match=f"The plugin contrast-stuck is broken: {reason}"):
            discover([stuck], strict=True)


def test_the_user_can_interrupt_the_wait(
    make: Make, gate: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As always; standard output is in order afterwards."""
    stuck = make("stuck", "import _thread\n_thread.interrupt_main()\n" + LATE)
    monkeypatch.setenv("CONTRAST_PATIENCE", "60")
    # An interrupt that falls into a finaliser is lost, and thousands of tests leave much to collect.
    gc.disable()
    try:
        with pytest.raises(KeyboardInterrupt):
            discover([stuck])
    finally:
        gc.enable()
    gate.free()
    print("hello")
    assert capsys.readouterr().out == "hello\n"


def test_a_heavy_library_gets_longer(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is slow, but it works: the warning says so."""
    monkeypatch.setattr(loading, "HEAVY", ("hang_library",))
    make("library")
    slow = make("slow", "import hang_library, time\ntime.sleep(0.8)\n" + GOOD)
    found = discover([slow]).plugins[0]
    assert found.manifest
    assert found.warnings[0].startswith("Its manifest imports hang_library, which makes every command slow")


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_patience_that_is_no_time_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """In one sentence, before anything is loaded."""
    monkeypatch.setenv("CONTRAST_PATIENCE", text)
    with pytest.raises(ContrastError, match=f"CONTRAST_PATIENCE must be a number of seconds above 0, .*, not '{text}'"):
        discover([make("alpha")])


def test_what_is_run_gives_its_value_or_its_error() -> None:
    """As if it had been called."""
    assert Patience(60).run(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        Patience(60).run(lambda: 1 // 0)
