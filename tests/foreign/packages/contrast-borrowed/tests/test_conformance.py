"""What users of any part may rely on."""

import pytest


@pytest.mark.contrast("contrast-borrowed")
def test_conformance(contrast_check):
    """The checks of contrast's kit, one test each."""
    contrast_check()
