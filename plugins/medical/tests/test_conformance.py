"""What every user of a component may rely on, checked by the conformance kit."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.contrast("contrast-medical")
def test_conformance(contrast_check: Callable[[], None]) -> None:
    """One test a check; `contrast check contrast-medical` runs the same ones."""
    contrast_check()
