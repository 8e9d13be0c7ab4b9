"""Two and three processes with uneven shares against one: loss, gradients, counted rows and memories of three steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_equal_one(in_processes: Callable[..., object], tmp_path: Path, processes: int) -> None:
    """Every registered objective, every memory, a momentum encoder, and the engine in tiles, to 1e-10."""
    in_processes(processes, "one_process.py", str(tmp_path / "results-{rank}.json"))
    for rank in range(processes):
        found = json.loads((tmp_path / f"results-{rank}.json").read_text())
        assert len(found) > 40
        assert {name: apart for name, apart in found.items() if not isinstance(apart, float) or apart > 1e-10} == {}
