"""The linear probe: how much a linear classifier reads out of the frozen embedding."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.checks import labelled, splits_of
from contrast_core.interfaces import Data, Evaluator, Score


@final
class LinearProbe(Evaluator):
    """Logistic regression (scikit-learn, L2) on the embedding, standardised with training statistics.

    min_W  0.5 |W|^2 + c sum_i cross_entropy(W z_i, y_i);  c is the one of best accuracy on the validation
    rows.
    Scores: accuracy and Macro-F1 on the test rows, as fractions, for every split.

    Args:
        splits: names of the data's splits; none means all.
        strengths: the values of c to choose from; with a single one the validation rows are not used.
        steps: most iterations of the solver (L-BFGS); a probe that has not converged by then is scored as it
            is.

    Raises:
        ValueError: for no or a non-positive strength; in use, if there are no labels, no splits, an empty
            part, or labels that do not fit the embedding.
    """

    def __init__(
        self,
        splits: Sequence[str] = (),
        strengths: Sequence[float] = (0.01, 0.1, 1.0, 10.0),
        steps: int = 1000,
    ):
        if not strengths or min(strengths) <= 0:
            raise ValueError(f"strengths must hold at least one number, all above 0, not {list(strengths)}.")
        if steps < 1:
            raise ValueError(f"steps = {steps} must be at least 1.")
        self.needs = ("embedding.label",)
        self.splits, self.strengths, self.steps = tuple(splits), tuple(strengths), steps

    def evaluate(self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator) -> Sequence[Score]:
        """Accuracy and Macro-F1 of each split."""
        rows, labels = labelled(tables["embedding"], data)
        several = len(self.strengths) > 1
        scores = []
        for name, (train, val, test) in splits_of(data, self.splits, labels, val=several).items():
            probes = [self._fitted(c, rows[train], labels[train]) for c in self.strengths]
            best = max(probes, key=lambda probe: probe.score(rows[val], labels[val])) if several else probes[0]
            predicted = best.predict(rows[test])
            scores.append(Score("Accuracy", float(accuracy_score(labels[test], predicted)), split=name))
            scores.append(Score("Macro-F1", float(f1_score(labels[test], predicted, average="macro")), split=name))
        return scores

    def _fitted(self, strength: float, rows: NDArray[Any], labels: NDArray[Any]) -> Any:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=self.steps))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return probe.fit(rows, labels)
