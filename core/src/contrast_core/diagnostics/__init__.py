"""Diagnostics for every run, whatever the domain: the geometry of embeddings, how negatives are penalised, and an alarm
on collapse.

They take tables (n, d) from torch or numpy, or pairs, go over them tile by tile, and give plain numbers or tensors in
float64 on the CPU.
"""

from contrast_core.diagnostics.comparing import by_label, paired
from contrast_core.diagnostics.geometry import alignment, collapsed, mean_cosine, summary, tolerance, uniformity
from contrast_core.diagnostics.hardness import Penalties, penalties, relative_penalty, score_gradients
from contrast_core.diagnostics.histograms import Histograms, similarity_histograms
from contrast_core.diagnostics.spectra import (
    covariance_spectrum,
    effective_rank,
    log_covariance_spectrum,
    nesum,
    numerical_rank,
    participation_ratio,
    power_law,
    rank_summary,
    rankme,
    spectrum,
    stable_rank,
)
from contrast_core.diagnostics.sphere import cosine_density, wasserstein_uniformity
from contrast_core.diagnostics.temperatures import uniformity_tolerance_curve

__all__ = [
    "Histograms",
    "Penalties",
    "alignment",
    "by_label",
    "collapsed",
    "cosine_density",
    "covariance_spectrum",
    "effective_rank",
    "log_covariance_spectrum",
    "mean_cosine",
    "nesum",
    "numerical_rank",
    "paired",
    "participation_ratio",
    "penalties",
    "power_law",
    "rank_summary",
    "rankme",
    "relative_penalty",
    "score_gradients",
    "similarity_histograms",
    "spectrum",
    "stable_rank",
    "summary",
    "tolerance",
    "uniformity",
    "uniformity_tolerance_curve",
    "wasserstein_uniformity",
]
