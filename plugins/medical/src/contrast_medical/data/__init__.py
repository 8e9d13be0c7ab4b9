"""Data in two sets, a background and a target: planted, or from files."""
