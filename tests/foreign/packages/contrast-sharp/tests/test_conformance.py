"""What users of any part may rely on."""

import pytest


@pytest.mark.contrast("contrast-sharp")
def test_conformance(contrast_check):
    """One test a check."""
    contrast_check()
