"""What a run writes while it trains: metrics as JSON lines, and event files for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Term

METRICS, DIAGNOSTICS = "metrics.jsonl", "diagnostics.jsonl"


class Record:
    """Appends to the run's files.

    Args:
        folder: the run folder.
        tensorboard: "auto", "on" or "off".
        upto: (metrics, diagnostics): bytes to keep of files from before a resume; the rest was written after the
            checkpoint and will be written again.
    """

    def __init__(self, folder: Path, tensorboard: str, upto: tuple[int, int] = (0, 0)):
        self._files = []
        for name, size in zip((METRICS, DIAGNOSTICS), upto, strict=True):
            file = (folder / name).open("ab")
            file.truncate(size)
            self._files.append(file)
        self._events = _event_writer(folder, tensorboard)

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
        scalars = {
            f"{name}/{key}": value for name, term in terms.items() for key, value in term.scalars.items()
        }
        self._write(0, {**line, "terms": described, "scalars": scalars})
        values = {f"terms/{name}": entry["value"] for name, entry in described.items()}
        self._event(line["step"], {"loss": line["loss"], **values, **scalars})

    def diagnostics(self, line: Mapping[str, Any]) -> None:
        """The geometry of the embedding at a step."""
        self._write(1, line)
        numbers = {f"geometry/{k}": v for k, v in line.items() if isinstance(v, float)}
        self._event(line["step"], numbers)

    def sizes(self) -> list[int]:
        """Bytes of both files, everything flushed: what a checkpoint has to remember."""
        for file in self._files:
            file.flush()
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


def _event_writer(folder: Path, tensorboard: str) -> Any:
    if tensorboard == "off" or (tensorboard == "auto" and find_spec("tensorboard") is None):
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ContrastError(
            'training.tensorboard is "on" but tensorboard is missing: pip install contrast-core[tensorboard]'
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))  # type: ignore[no-untyped-call]
