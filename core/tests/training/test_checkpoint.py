"""Checkpoints: whole or not at all, verified, and never code."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrast_core.errors import ContrastError
from contrast_core.training.checkpoint import (
    load_checkpoint,
    own_randomness,
    random_state,
    remove_unfinished,
    save_checkpoint,
    seed_everything,
    set_random_state,
)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def draw() -> tuple[Any, ...]:
    """One number from each global generator, the Gaussian one that numpy and Python keep back included."""
    return torch.randn(1).item(), np.random.standard_normal(), random.gauss(0, 1)


def test_the_last_checkpoint_alone_is_kept(tmp_path: Path) -> None:
    """Tensors and values come back; older files are gone."""
    assert load_checkpoint(tmp_path) is None
    for step in (1, 2):
        save_checkpoint(tmp_path, {"x": torch.full((2,), step), "best": float("inf")}, step)
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["x"].tolist() == [2, 2]
    assert state["best"] == float("inf")
    assert sorted(contents(tmp_path)) == ["checkpoint-00000002.pt", "checkpoint.json"]


def truncated(folder: Path) -> None:
    """Half of the file."""
    file = folder / "checkpoint-00000003.pt"
    file.write_bytes(file.read_bytes()[:200])


def flipped(folder: Path) -> None:
    """One bit in a tensor."""
    file = folder / "checkpoint-00000003.pt"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def missing(folder: Path) -> None:
    """The pointer without what it points to."""
    (folder / "checkpoint-00000003.pt").unlink()


def without_pointer(folder: Path) -> None:
    """A checkpoint that nothing points to."""
    (folder / "checkpoint.json").unlink()


def outside(folder: Path) -> None:
    """A pointer out of the folder."""
    other = folder.parent / "other.pt"
    (folder / "checkpoint-00000003.pt").rename(other)
    entry = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps({**entry, "file": "../other.pt"}))


def no_json(folder: Path) -> None:
    """A pointer of another kind."""
    (folder / "checkpoint.json").write_text("[]")


class Bomb:
    """Code inside a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def with_code(folder: Path) -> None:
    """A pickle that runs something when it is loaded, with the right checksum."""
    file = folder / "checkpoint-00000003.pt"
    torch.save({"x": Bomb()}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "checkpoint.json").write_text(json.dumps({"file": file.name, "step": 3, "sha256": digest}))


@pytest.mark.parametrize("damage", [truncated, flipped, missing, without_pointer, outside, no_json, with_code])
def test_a_damaged_checkpoint_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    """And nothing is changed, and no code runs."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)
    save_checkpoint(folder, {"x": torch.arange(1000.0)}, 3)
    damage(folder)
    before = contents(folder)
    with pytest.raises(ContrastError, match="is damaged") as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert contents(folder) == before
    assert "exploded" not in before


def test_a_crash_while_writing_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no temporary file."""
    save_checkpoint(tmp_path, {"x": torch.ones(1)}, 1)
    before = contents(tmp_path)

    def half(state: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(ContrastError, match=r"can't be written .*No space left"):
        save_checkpoint(tmp_path, {"x": torch.zeros(1)}, 2)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("first", [True, False])
def test_a_kill_between_file_and_pointer_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """The state before counts, also where there was none."""
    if not first:
        save_checkpoint(tmp_path, {"x": torch.ones(1)}, 1)
    from contrast_core.training import checkpoint

    write = checkpoint.write_text

    def killed(path: Path, text: str) -> None:
        if "sha256" in text:
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(checkpoint, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, {"x": torch.zeros(1)}, 2)
    state = load_checkpoint(tmp_path)
    assert state is None if first else (state is not None and state["x"].item() == 1)


def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    """Training into nowhere stops."""
    with pytest.raises(ContrastError, match="is gone"):
        save_checkpoint(tmp_path / "gone", {}, 1)
    assert not (tmp_path / "gone").exists()


def test_only_our_own_unfinished_files_are_removed(tmp_path: Path) -> None:
    """What a killed process left, and nothing else that is hidden."""
    for name in (".checkpoint-00000010.0123abcd.pt", ".run.0123abcd.json", ".git", ".notes.json"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert sorted(contents(tmp_path)) == [".git", ".notes.json"]


def test_random_state_comes_back_from_a_file(tmp_path: Path) -> None:
    """All three generators, in the middle of a pair of Gaussians."""
    seed_everything(3)
    draw()
    save_checkpoint(tmp_path, {"random": random_state()}, 1)
    expected = [draw() for _ in range(3)]
    state = load_checkpoint(tmp_path)
    assert state is not None
    set_random_state(state["random"])
    assert [draw() for _ in range(3)] == expected


def test_own_randomness_leaves_the_callers_alone() -> None:
    """Whatever is seeded and drawn inside, threads too."""
    seed_everything(4)
    expected = draw()
    seed_everything(4)
    threads = torch.get_num_threads()
    with own_randomness():
        seed_everything(9)
        draw()
        torch.set_num_threads(threads + 1)
    assert draw() == expected
    assert torch.get_num_threads() == threads
