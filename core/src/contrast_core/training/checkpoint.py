"""Resumable state: written whole or not at all, verified and loaded without ever running code from the file."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy
import torch

from contrast_core.errors import ContrastError
from contrast_core.files import replacing, write_text

POINTER = "checkpoint.json"


def save_checkpoint(folder: Path, state: dict[str, Any], step: int) -> None:
    """Write state as `checkpoint-STEP.pt`, then point to it, then remove the one before."""
    path = folder / f"checkpoint-{step:08d}.pt"
    with replacing(path) as temporary:
        torch.save(state, temporary)
        digest = _digest(temporary)
    write_text(folder / POINTER, json.dumps({"file": path.name, "step": step, "sha256": digest}) + "\n")
    for old in folder.glob("checkpoint-*.pt"):
        if old.name != path.name:
            old.unlink()


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last state, or None if there was none yet.

    Raises:
        ContrastError: if the file is missing, damaged or truncated.
    """
    pointer = folder / POINTER
    if not pointer.exists():
        return None
    path = folder
    try:
        entry = json.loads(pointer.read_text(encoding="utf-8"))
        path = folder / Path(entry["file"]).name
        if _digest(path) != entry["sha256"]:
            raise ValueError("its checksum does not match")
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ContrastError(
            f"The checkpoint {path} is damaged ({reason}); remove {pointer} to train this run from its beginning."
        ) from error
    return state


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
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, position, has_gauss, cached = state["numpy"]
    numpy.random.set_state((name, keys.numpy().astype("uint32"), position, has_gauss, cached))
    version, *inner, gauss = state["python"]
    random.setstate((version, tuple(inner), gauss))


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
