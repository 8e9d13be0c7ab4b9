"""Diagnostics for every run, whatever the domain: the geometry of embeddings, and an alarm on collapse."""

from contrast_core.diagnostics.geometry import (
    alignment,
    collapsed,
    effective_rank,
    mean_cosine,
    rankme,
    spectrum,
    summary,
    tolerance,
    uniformity,
)

__all__ = [
    "alignment",
    "collapsed",
    "effective_rank",
    "mean_cosine",
    "rankme",
    "spectrum",
    "summary",
    "tolerance",
    "uniformity",
]
