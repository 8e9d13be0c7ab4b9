"""Fixtures shared by the tests of contrast-medical."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from contrast_core.testing.golden import Case, golden_cases

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str], list[Case]]:
    """Loads all golden cases of one function: arrays as tensors by name, the description under "meta"."""
    return partial(golden_cases, GOLDEN)
