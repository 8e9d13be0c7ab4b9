"""Fixtures shared by the tests of contrast-graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str], list[dict[str, Any]]]:
    """Loads all golden cases of one function: arrays as tensors by name, the description under "meta"."""

    def load(name: str) -> list[dict[str, Any]]:
        cases = []
        for path in sorted(GOLDEN.glob(f"{name}-*.npz")):
            with np.load(path, allow_pickle=False) as file:
                case: dict[str, Any] = {key: torch.tensor(file[key]) for key in file.files if key != "meta"}
                case["meta"] = json.loads(str(file["meta"]))
            cases.append(case)
        if not cases:
            raise FileNotFoundError(f"No golden case called {name!r} lies in {GOLDEN}.")
        return cases

    return load
