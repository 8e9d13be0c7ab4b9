"""Objectives: from pairs to loss terms, each a few lines on row statistics of `contrast_core.pairwise`."""
