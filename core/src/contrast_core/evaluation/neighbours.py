"""Nearest neighbours: how pure the neighbourhoods of the embedding are, with nothing trained on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import torch
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier

from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.checks import labelled, splits_of
from contrast_core.interfaces import Data, Evaluator, Score


@final
class KNN(Evaluator):
    """The majority class of the k training rows nearest to a test row (scikit-learn); of equals the first.

    Scores: accuracy and Macro-F1 on the test rows, as fractions, for every split; validation rows are not
        used.

    Args:
        k: number of neighbours, at least 1.
        metric: "cosine" (1 - cosine similarity) or "euclidean".
        splits: names of the data's splits; none means all.

    Raises:
        ValueError: if k is below 1; in use, if there are no labels, no splits, an empty part, fewer than k
            training rows, or labels that do not fit the embedding.
    """

    def __init__(self, k: int = 5, metric: Literal["cosine", "euclidean"] = "cosine", splits: Sequence[str] = ()):
        if k < 1:
            raise ValueError(f"k = {k} must be at least 1: it is a number of neighbours.")
        self.needs = ("embedding.label",)
        self.k, self.metric, self.splits = k, metric, tuple(splits)

    def evaluate(self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator) -> Sequence[Score]:
        """Accuracy and Macro-F1 of each split."""
        rows, labels = labelled(tables["embedding"], data)
        scores = []
        for name, (train, _, test) in splits_of(data, self.splits, labels).items():
            if self.k > len(train):
                raise ValueError(f"k = {self.k} neighbours are asked for, but split '{name}' trains on {len(train)}.")
            nearest = KNeighborsClassifier(self.k, metric=self.metric).fit(rows[train], labels[train])
            predicted = nearest.predict(rows[test])
            scores.append(Score("Accuracy", float(accuracy_score(labels[test], predicted)), split=name))
            scores.append(Score("Macro-F1", float(f1_score(labels[test], predicted, average="macro")), split=name))
        return scores
