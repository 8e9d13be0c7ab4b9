"""What every user of a component may rely on, checked by contrast's conformance kit."""

import pytest


@pytest.mark.contrast("{{ cookiecutter.distribution }}")
def test_conformance(contrast_check):
    """One test a check; `contrast check .` runs the same ones."""
    contrast_check()
