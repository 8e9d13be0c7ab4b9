"""Fixtures shared by the tests of contrast-fewshot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parent / "golden"
Case = dict[str, Any]


@pytest.fixture
def golden() -> Callable[[str], list[Case]]:
    """Loads all golden cases of one function: arrays as tensors by name, the description under "meta"."""

    def load(name: str) -> list[Case]:
        cases = []
        for path in sorted(GOLDEN.glob(f"{name}-*.npz")):
            with np.load(path, allow_pickle=False) as file:
                case: Case = {key: torch.tensor(file[key]) for key in file.files if key != "meta"}
                case["meta"] = json.loads(str(file["meta"]))
            cases.append(case)
        if not cases:
            raise FileNotFoundError(f"No golden case called {name!r} lies in {GOLDEN}.")
        return cases

    return load
