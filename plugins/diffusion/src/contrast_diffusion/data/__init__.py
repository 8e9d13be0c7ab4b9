"""Data sets of subjects in several views."""
