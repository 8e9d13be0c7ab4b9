"""`python -m contrast_core` is the command `contrast`."""

from contrast_core.cli import main

main()
