"""Clustering: whether groups appear in the embedding by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.checks import labelled
from contrast_core.interfaces import Data, Evaluator, Score


@final
class Clustering(Evaluator):
    """k-means (scikit-learn, k-means++) with as many clusters as classes, on all items of known label.

    Scores, as fractions, mean and population deviation over the runs:
        NMI = I(cluster, class) / ((H(cluster) + H(class)) / 2)
        ARI = the Rand index, corrected for chance

    Args:
        runs: how many times, each with its own random start.
        starts: starts within a run, of which k-means keeps the tightest.

    Raises:
        ValueError: if runs or starts are below 1; in use, if there are no labels, they do not fit the
            embedding, or all items are of one class.
    """

    def __init__(self, runs: int = 10, starts: int = 1):
        if runs < 1 or starts < 1:
            raise ValueError(f"runs = {runs} and starts = {starts} must be at least 1.")
        self.needs = ("embedding.label",)
        self.runs, self.starts = runs, starts

    def evaluate(self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator) -> Sequence[Score]:
        """NMI and ARI."""
        rows, labels = labelled(tables["embedding"], data)
        rows, labels = rows[labels >= 0], labels[labels >= 0]
        classes = len(set(labels))
        if classes < 2:
            raise ValueError("All items are of one class; there are no clusters to compare with.")
        seeds = torch.randint(2**31 - 1, (self.runs,), generator=generator).tolist()
        found = [KMeans(classes, n_init=self.starts, random_state=seed).fit_predict(rows) for seed in seeds]
        metrics = {"NMI": normalized_mutual_info_score, "ARI": adjusted_rand_score}
        values = {name: [metric(labels, clusters) for clusters in found] for name, metric in metrics.items()}
        return [Score(name, float(numpy.mean(each)), float(numpy.std(each))) for name, each in values.items()]
