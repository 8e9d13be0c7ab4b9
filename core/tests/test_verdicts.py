"""The file of manifests that hung: a help, and never in the way."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from contrast_core.cache import cache_folder
from contrast_core.registry import GROUP
from contrast_core.verdicts import FILE, Verdicts

POINT = EntryPoint("core", "contrast_core.manifest", GROUP)
WHO = ("contrast-core", "1")


def test_a_verdict_is_for_one_version_and_one_entry_point(tmp_path: Path) -> None:
    """Others are not known to hang; the last one that is taken back takes the file with it."""
    Verdicts(tmp_path).record(POINT, *WHO, 2.0)
    found = Verdicts(tmp_path)
    assert found.waited(POINT, *WHO) == 2.0
    assert found.waited(POINT, "contrast-core", "2") == 0
    assert found.waited(EntryPoint("core", "contrast_core.spec", GROUP), *WHO) == 0
    other = Verdicts(tmp_path)
    other.record(POINT, "contrast-core", "2", 3.0)
    found.record(POINT, *WHO, 0.0)
    assert Verdicts(tmp_path).waited(POINT, "contrast-core", "2") == 3.0
    found.record(POINT, "contrast-core", "2", 0.0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["no_such_package.manifest", "!!"])
def test_a_manifest_without_a_file_is_not_remembered(tmp_path: Path, value: str) -> None:
    """There would be no telling when it changes."""
    found = Verdicts(tmp_path)
    found.record(EntryPoint("odd", value, GROUP), *WHO, 2.0)
    assert found.waited(EntryPoint("odd", value, GROUP), *WHO) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"x"', b'{"a": "b"}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    """And is replaced by the next verdict."""
    (tmp_path / FILE).write_bytes(content)
    assert Verdicts(tmp_path).waited(POINT, *WHO) == 0
    Verdicts(tmp_path).record(POINT, *WHO, 2.0)
    assert Verdicts(tmp_path).waited(POINT, *WHO) == 2.0


def test_where_the_file_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CONTRAST_CACHE first, then XDG_CACHE_HOME, then the platform's; without a home nowhere."""
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("CONTRAST_CACHE")
    assert cache_folder() == tmp_path / "contrast"
    monkeypatch.delenv("XDG_CACHE_HOME")
    found = cache_folder()
    assert found is not None
    assert "contrast" in found.parts

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder() is None
    Verdicts().record(POINT, *WHO, 2.0)
    assert Verdicts().waited(POINT, *WHO) == 0
