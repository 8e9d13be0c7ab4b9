"""Losses of other libraries, borrowed for contrast."""
