"""An index holds what the folder holds, after changes, kills and another run."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

from contrast_code.search.index import update
from contrast_code.search.store import Store


def embed(codes: Sequence[str], languages: Sequence[str]) -> NDArray[np.float32]:
    """A double of the encoder: counts of letters."""
    assert len(codes) == len(languages)
    return np.array([[code.count(chr(97 + i)) + 0.1 for i in range(26)] for code in codes], dtype=np.float32)


def asked(code: str) -> NDArray[np.float32]:
    """The embedding of one code."""
    return embed([code], ["python"])[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of two files."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.py").write_text("def parse(): pass\ndef date(): pass\n")
    (folder / "b.go").write_text("package b\nfunc zzz() {}\n")
    return folder


def test_nearest_is_the_plain_loop(root: Path, tmp_path: Path) -> None:
    """Scores and order are those of cosines one by one."""
    store = Store(tmp_path / "index")
    entries = update(root, store, "run", embed, every=1).entries
    query = asked("parse a date")
    hits = store.nearest(query, entries, 3)
    cosines = {}
    for code, name in (("def parse(): pass", "parse"), ("def date(): pass", "date"), ("func zzz() {}", "zzz")):
        row = asked(code)
        cosines[name] = float(row @ query / np.linalg.norm(row) / np.linalg.norm(query))
    assert [hit.function.name for hit in hits] == sorted(cosines, key=lambda name: -cosines[name])
    assert [hit.score for hit in hits] == pytest.approx(sorted(cosines.values(), reverse=True), rel=1e-5)
    assert [hit.path for hit in store.nearest(query, entries, 3, "go")] == ["b.go"]


def test_only_changed_files_are_embedded(root: Path, tmp_path: Path) -> None:
    """Unchanged files stay, changed ones are embedded, deleted ones leave, another run starts anew."""
    store = Store(tmp_path / "index")
    assert update(root, store, "run", embed).embedded == 2
    assert update(root, store, "run", embed).embedded == 0
    (root / "a.py").write_text("def other(): pass\n")
    (root / "b.go").unlink()
    changed = update(root, store, "run", embed)
    assert (changed.embedded, list(changed.entries)) == (1, ["a.py"])
    assert store.read("run") == changed.entries
    assert update(root, store, "second run", embed).embedded == 1


def test_rebuild_embeds_all_again(root: Path, tmp_path: Path) -> None:
    """A rebuild uses no old row and leaves no old shard."""
    store = Store(tmp_path / "index")
    update(root, store, "run", embed)
    old = set(store.folder.glob("*.npy"))
    assert update(root, store, "run", embed, rebuild=True).embedded == 2
    assert not old & set(store.folder.glob("*.npy"))


def test_a_rebuild_that_fails_keeps_the_old_index(root: Path, tmp_path: Path) -> None:
    """Old entries stay until new ones replace them."""
    store = Store(tmp_path / "index")
    before = update(root, store, "run", embed).entries

    def broken(codes: Sequence[str], languages: Sequence[str]) -> NDArray[np.float32]:
        raise OSError("The disk is full.")

    with pytest.raises(OSError, match="full"):
        update(root, store, "run", broken, rebuild=True)
    assert store.read("run") == before
    assert store.nearest(asked("parse"), before, 3)


def test_skipped_files_are_counted(root: Path, tmp_path: Path) -> None:
    """Each reason has its count."""
    (root / "big.py").write_bytes(b"x" * 10_000_000)
    (root / "binary.py").write_bytes(b"\0\1")
    (root / "latin.py").write_bytes(b"word = 'caf\xe9'\n")
    (root / "odd.py").write_text("def odd(x):\n    return x +* 1\n")
    (root / "notes.txt").write_text("notes")
    (root / "node_modules").mkdir()
    assert update(root, Store(tmp_path / "index"), "run", embed).skipped == {
        "larger than 1 MB": 1,
        "binary": 1,
        "read with replaced characters (not UTF-8)": 1,
        "functions that can't be parsed whole": 1,
        "language without grammar": 1,
        "folder not searched": 1,
    }


def test_two_indexers_are_refused(root: Path, tmp_path: Path) -> None:
    """The second one is told to wait."""
    (tmp_path / "index").mkdir()
    with FileLock(tmp_path / "index" / "lock"), pytest.raises(RuntimeError, match="Another process"):
        update(root, Store(tmp_path / "index"), "run", embed)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    """The sentence says what to name."""
    with pytest.raises(FileNotFoundError, match="Name the folder"):
        update(tmp_path / "none", Store(tmp_path / "index"), "run", embed)


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2])
def test_a_killed_update_goes_on(tmp_path: Path, delay: float) -> None:
    """After SIGKILL the index reads, keeps what was saved, and ends equal to one that was never killed."""
    root = tmp_path / "repository"
    root.mkdir()
    for i in range(300):
        (root / f"f{i}.py").write_text(f"def {'abcdefghij'[i % 10] * (i + 1)}(): pass\n")
    script = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from test_index import embed, update, Store\n"
        "slow = lambda codes, languages: (time.sleep(0.01), embed(codes, languages))[1]\n"
        "update(Path(sys.argv[2]), Store(Path(sys.argv[3])), 'run', slow, every=1)\n"
    )
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent), str(root), str(tmp_path / "index")]
    process = subprocess.Popen(arguments)
    manifest, limit = tmp_path / "index" / "manifest.json", time.monotonic() + 60
    while not manifest.exists() and time.monotonic() < limit:
        time.sleep(0.005)
    time.sleep(delay)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    store = Store(tmp_path / "index")
    saved = len(store.read("run"))
    assert 0 < saved < 300
    again = update(root, store, "run", embed)
    assert again.embedded == 300 - saved
    whole = Store(tmp_path / "whole")
    entries = update(root, whole, "run", embed).entries
    query = asked("def abc(): pass")
    assert store.nearest(query, again.entries, 300) == whole.nearest(query, entries, 300)
