"""What a run writes while it trains: metrics as JSON lines, and event files for TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Term

METRICS, DIAGNOSTICS = "metrics.jsonl", "diagnostics.jsonl"


class Record:
    """Appends to the run's files.

    Args:
        folder: the run folder.
        tensorboard: "auto", "on" or "off".
        upto: (metrics, diagnostics): bytes to keep of files from before a resume; the rest was written after the
            checkpoint and will be written again. None keeps everything.
        first: number of the first step that will be recorded; TensorBoard forgets what it has from there on.
    """

    def __init__(self, folder: Path, tensorboard: str, upto: tuple[int, int] | None = (0, 0), first: int = 1):
        self._events = _event_writer(folder, tensorboard, first)
        self._files = [_opened(folder / name, None if upto is None else upto[number])
                       for number, name in enumerate((METRICS, DIAGNOSTICS))]  # fmt: skip

    def step(self, line: Mapping[str, Any], terms: Mapping[str, Term]) -> None:
        """One optimiser step."""
        described = {
            name: {
                "value": term.value.item(),
                "weight": term.weight,
                "rows": term.rows,
                "dropped": term.dropped,
            }
            for name, term in terms.items()
        }
        scalars = {f"{name}/{key}": value for name, term in terms.items() for key, value in term.scalars.items()}
        self._write(0, {**line, "terms": described, "scalars": scalars})
        values = {f"terms/{name}": entry["value"] for name, entry in described.items()}
        self._event(line["step"], {"loss": line["loss"], **values, **scalars})

    def diagnostics(self, line: Mapping[str, Any]) -> None:
        """The geometry of the embedding at a step."""
        self._write(1, line)
        numbers = {f"geometry/{k}": v for k, v in line.items() if isinstance(v, float)}
        self._event(line["step"], numbers)

    def sizes(self) -> list[int]:
        """Bytes of both files, on disk for certain: what a checkpoint has to remember."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        return [file.tell() for file in self._files]

    def close(self) -> None:
        """Flush and close all files."""
        for file in self._files:
            file.close()
        if self._events is not None:
            self._events.close()

    def _write(self, which: int, line: Mapping[str, Any]) -> None:
        self._files[which].write(json.dumps(line).encode() + b"\n")
        self._files[which].flush()

    def _event(self, step: int, values: Mapping[str, float]) -> None:
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)


def check_tensorboard(wanted: str) -> None:
    """Raise ContrastError if event files are asked for and TensorBoard is not installed."""
    if wanted == "on" and find_spec("tensorboard") is None:
        raise ContrastError(
            'training.tensorboard is "on" but tensorboard is missing: pip install contrast-core[tensorboard]'
        )


def _opened(path: Path, size: int | None) -> IO[bytes]:
    """A file to append to, cut to its first `size` bytes."""
    file = path.open("a+b")
    if size is not None and size < file.tell():
        file.truncate(size)
    # A file that lost its end to someone else must not go on in the middle of a line.
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 1))
    if file.read(1) not in (b"", b"\n"):
        file.write(b"\n")
    return file


def _event_writer(folder: Path, tensorboard: str, first: int) -> Any:
    check_tensorboard(tensorboard)
    if tensorboard == "off" or find_spec("tensorboard") is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        if tensorboard == "auto":
            return None
        raise ContrastError(f'training.tensorboard is "on" but TensorBoard can\'t be used: {error}') from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first)
