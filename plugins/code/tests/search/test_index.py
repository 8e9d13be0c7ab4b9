"""An index holds what the folder holds, after changes, kills and another run."""

import os
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
from contrast_code.search.store import SHARDS, Store


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


def test_what_is_odd_is_told_of_unchanged_files_too(root: Path, tmp_path: Path) -> None:
    """A second update skips nothing that the first did not."""
    (root / "latin.py").write_bytes(b"def caf\xe9(x):\n    return x +* 1\n")
    store = Store(tmp_path / "index")
    first, second = update(root, store, "run", embed), update(root, store, "run", embed)
    assert first.skipped == second.skipped
    assert sum(first.skipped.values()) == 2
    assert (first.embedded, second.embedded) == (3, 0)


def test_an_update_without_changes_writes_nothing(root: Path, tmp_path: Path) -> None:
    """A touched file is one."""
    store = Store(tmp_path / "index")
    update(root, store, "run", embed)
    manifest = tmp_path / "index" / "manifest.json"
    before = manifest.stat().st_mtime_ns
    update(root, store, "run", embed)
    assert manifest.stat().st_mtime_ns == before
    os.utime(root / "a.py", ns=(1, 1))
    assert update(root, store, "run", embed).embedded == 0
    assert manifest.stat().st_mtime_ns > before


def test_many_shards_become_one(tmp_path: Path) -> None:
    """After many files and after many changes, with the same answers."""
    root = tmp_path / "repository"
    root.mkdir()
    for i in range(SHARDS + 1):
        (root / f"f{i}.py").write_text(f"def {'abcdefghij'[i % 10] * (i + 1)}(): pass\ndef same(): pass\n")
    store, whole = Store(tmp_path / "index"), Store(tmp_path / "whole")
    entries = update(root, store, "run", embed, every=1).entries
    assert len(list(store.folder.glob("*.npy"))) == 1
    query = asked("def abc(): pass")
    plain = update(root, whole, "run", embed).entries
    assert store.nearest(query, entries, 100) == whole.nearest(query, plain, 100)
    for i in range(2 * SHARDS):
        (root / "f0.py").write_text(f"def {'xyz'[i % 3] * (i + 1)}(): pass\n")
        entries = update(root, store, "run", embed).entries
        assert len(list(store.folder.glob("*.npy"))) <= SHARDS
    assert store.read("run") == entries
    plain = update(root, whole, "run", embed).entries
    assert store.nearest(query, entries, 100) == whole.nearest(query, plain, 100)


def test_equal_scores_are_in_order_of_the_file(root: Path, tmp_path: Path) -> None:
    """Also those that the limit cuts through."""
    for name in "cdefg":
        (root / f"{name}.py").write_text("def same(): pass\n")
    store = Store(tmp_path / "index")
    entries = update(root, store, "run", embed, every=2).entries
    hits = store.nearest(asked("def same(): pass"), entries, 3)
    assert [hit.path for hit in hits] == ["c.py", "d.py", "e.py"]
    assert store.nearest(asked("def same(): pass"), entries, 100)[:3] == hits


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_damaged_rows_are_named(root: Path, tmp_path: Path, damage: bytes | None) -> None:
    """With what to do about it, which helps."""
    store = Store(tmp_path / "index")
    entries = update(root, store, "run", embed).entries
    (shard,) = store.folder.glob("*.npy")
    if damage is None:
        np.save(shard, np.load(shard)[:1])
    else:
        shard.write_bytes(damage)
    with pytest.raises(ValueError, match=r"is damaged. Make it anew with --rebuild."):
        store.nearest(asked("x"), entries, 3)
    entries = update(root, store, "run", embed, rebuild=True).entries
    assert len(store.nearest(asked("x"), entries, 3)) == 3


@pytest.mark.parametrize("length", [0, 60, 200])
def test_an_update_names_rows_that_lost_their_end(root: Path, tmp_path: Path, length: int) -> None:
    """A search updates first: the sentence is the same there, and nothing is lost by it."""
    store = Store(tmp_path / "index")
    before = update(root, store, "run", embed).entries
    (shard,) = store.folder.glob("*.npy")
    shard.write_bytes(shard.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"is damaged\. Make it anew with --rebuild\."):
        update(root, store, "run", embed)
    assert store.read("run") == before
    assert len(store.nearest(asked("x"), update(root, store, "run", embed, rebuild=True).entries, 3)) == 3


def test_a_damaged_manifest_is_made_anew(root: Path, tmp_path: Path) -> None:
    """Whatever is in it."""
    store = Store(tmp_path / "index")
    update(root, store, "run", embed)
    for content in ("", "[]", '{"format": 2, "run": "run", "files": {"a.py": [1]}}'):
        (store.folder / "manifest.json").write_text(content)
        assert update(root, store, "run", embed).embedded == 2


def test_two_indexers_are_refused(root: Path, tmp_path: Path) -> None:
    """The second one is told to wait."""
    (tmp_path / "index").mkdir()
    with FileLock(tmp_path / "index" / "lock"), pytest.raises(RuntimeError, match="Another process"):
        update(root, Store(tmp_path / "index"), "run", embed)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    """The sentence says what to name."""
    with pytest.raises(FileNotFoundError, match="Name the folder"):
        update(tmp_path / "none", Store(tmp_path / "index"), "run", embed)


SLOW = (
    "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
    "from test_index import embed, update, Store\n"
    "slow = lambda codes, languages: (time.sleep(0.005), embed(codes, languages))[1]\n"
    "print(flush=True)\n"
    "update(Path(sys.argv[2]), Store(Path(sys.argv[3])), sys.argv[4], slow, every=1, rebuild=len(sys.argv) > 5)\n"
)


def killed(root: Path, store: Store, run: str, after: float, *more: str) -> None:
    """An update in another process that is killed some seconds after it began."""
    arguments = [sys.executable, "-c", SLOW, str(Path(__file__).parent), str(root), str(store.folder), run, *more]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(after)
        process.kill()
        assert process.wait() == -signal.SIGKILL


def test_a_killed_update_goes_on(tmp_path: Path) -> None:
    """After SIGKILLs while it began, was rebuilt and changed to another run, an index ends as if there were none."""
    root = tmp_path / "repository"
    root.mkdir()
    for i in range(400):
        (root / f"f{i}.py").write_text(f"def {'abcdefghij'[i % 10] * (i + 1)}(): pass\n")
    query, store, whole = asked("def abc(): pass"), Store(tmp_path / "index"), Store(tmp_path / "whole")
    wanted = whole.nearest(query, update(root, whole, "run", embed).entries, 400)
    saved = 0
    for after in (0.0, 0.02, 0.3, 0.6):
        killed(root, store, "run", after)
        before, saved = saved, len(store.read("run"))
        assert before <= saved < 400
    assert saved
    again = update(root, store, "run", embed)
    assert again.embedded == 400 - saved
    assert store.nearest(query, again.entries, 400) == wanted
    for after in (0.05, 0.5):
        killed(root, store, "run", after, "rebuild")
        assert store.nearest(query, store.read("run"), 400) == wanted
        assert update(root, store, "run", embed).embedded == 0
    killed(root, store, "other", 0.5)
    other = update(root, store, "other", embed)
    assert 0 < other.embedded < 400
    assert store.nearest(query, other.entries, 400) == wanted
    assert len(list(store.folder.glob("*.npy"))) == 1
