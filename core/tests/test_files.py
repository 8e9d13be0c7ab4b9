"""Atomic files: whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contrast_core.files import replacing, write_text


def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    """Half a file never takes the name."""
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old ä\n")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text(encoding="utf-8") == "old ä\n"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_the_temporary_file_lies_beside_with_the_same_suffix(tmp_path: Path) -> None:
    """So that renaming is one step and writers that look at the suffix work."""
    with replacing(tmp_path / "model.safetensors") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".safetensors"
        temporary.write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="no umask")
def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    """As for any other new file."""
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "private", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
