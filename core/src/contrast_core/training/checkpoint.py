"""Resumable state: written whole or not at all, verified and loaded without ever running code from the file."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import torch

from contrast_core.errors import ContrastError
from contrast_core.files import replacing, write_text

POINTER = "checkpoint.json"

_TEMPORARY = re.compile(r"\.[a-z]+(-\d+)?\.[0-9a-f]{8}\.(pt|json|safetensors)")


def save_checkpoint(folder: Path, state: Mapping[str, Any], step: int) -> None:
    """Write state as `checkpoint-STEP.pt`, then point to it, then remove the one before.

    Raises:
        ContrastError: if the folder is gone, or the file can't be written; the checkpoint before stays.
    """
    if not folder.is_dir():
        raise ContrastError(f"The run folder {folder} is gone: somebody removed or renamed it while it was trained.")
    path = folder / f"checkpoint-{step:08d}.pt"
    try:
        if not (folder / POINTER).exists():
            # So that a checkpoint without a pointer is never what a killed process leaves.
            write_text(folder / POINTER, json.dumps({"file": None}) + "\n")
        with replacing(path) as temporary:
            torch.save(dict(state), temporary)
            digest = _digest(temporary)
        write_text(folder / POINTER, json.dumps({"file": path.name, "step": step, "sha256": digest}) + "\n")
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ContrastError(f"The checkpoint {path} can't be written ({reason}).") from error
    for old in folder.glob("checkpoint-*.pt"):
        if old.name != path.name:
            old.unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last state, or None if there was none yet.

    Raises:
        ContrastError: if the pointer or the file is missing, damaged or truncated.
    """
    pointer = folder / POINTER
    path = pointer
    try:
        if not pointer.exists():
            if any(folder.glob("checkpoint-*.pt")):
                raise ValueError("it is missing, but there are checkpoints")
            return None
        entry = json.loads(pointer.read_text(encoding="utf-8"))
        name = entry["file"]
        if name is None:
            return None
        if Path(name).name != name:
            raise ValueError(f"it points out of its folder, to {name}")
        path = folder / name
        if not path.is_file():
            raise ValueError("it is missing")
        if _digest(path) != entry["sha256"]:
            raise ValueError("its checksum does not match")
        state = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(state, dict):
            raise ValueError("it holds no table")
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ContrastError(
            f"The checkpoint {path} is damaged ({reason}); remove {pointer} and all {folder / 'checkpoint-*.pt'} to "
            "train this run from its beginning."
        ) from error
    return state


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files of a process that was killed while it wrote; nobody else may write now."""
    for left in folder.glob(".*"):
        if _TEMPORARY.fullmatch(left.name):
            left.unlink(missing_ok=True)


def random_state() -> dict[str, Any]:
    """The state of every global random generator, as plain values and tensors."""
    numpy_state: Any = numpy.random.get_state(legacy=True)
    name, keys, position, has_gauss, cached = numpy_state
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [
            str(name),
            torch.from_numpy(keys.astype("int64")),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "python": list(_flat(random.getstate())),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put every global random generator back."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) <= torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, position, has_gauss, cached = state["numpy"]
    numpy.random.set_state((name, keys.numpy().astype("uint32"), position, has_gauss, cached))
    version, *inner, gauss = state["python"]
    random.setstate((version, tuple(inner), gauss))


@contextmanager
def own_randomness() -> Iterator[None]:
    """Whatever happens inside to global random generators and the number of threads, outside they stay as they were."""
    kept, threads = random_state(), torch.get_num_threads()
    try:
        yield
    finally:
        set_random_state(kept)
        torch.set_num_threads(threads)


def seed_everything(seed: int) -> None:
    """Seed the global generators of torch, numpy and Python."""
    torch.manual_seed(seed)
    numpy.random.seed(seed % 2**32)
    random.seed(seed)


def _flat(state: tuple[Any, ...]) -> tuple[Any, ...]:
    version, inner, gauss = state
    return (version, *inner, gauss)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
