"""The class whose kept items are nearest in the mean: what a rehearsal store is worth as a classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from sklearn.metrics import accuracy_score
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.checks import labelled, splits_of
from contrast_core.interfaces import Data, Evaluator, Score


@final
class NearestExemplars(Evaluator):
    """The class with the nearest mean of exemplars, the items that the recipe's rehearsal store keeps.

    With unit rows f_i = z_i / |z_i| and P_c the kept items of class c,

        mu_c = mean_{i in P_c} f_i, scaled to unit length;   y(x) = argmin_c |f_x - mu_c|

    Scores: accuracy on the test rows, as a fraction, for every split. A class of which nothing is kept is never said.

    Args:
        splits: names of the data's splits; none means all.

    Raises:
        ValueError: in use, if nothing is kept, there are no labels or no splits, or the embedding is not finite.

    Paper: iCaRL (Rebuffi et al., CVPR 2017, arXiv 1611.07725), algorithm 1.
    """

    def __init__(self, splits: Sequence[str] = ()):
        self.needs = ("embedding.label", "rehearsal")
        self.splits = tuple(splits)

    def evaluate(self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator) -> Sequence[Score]:
        """Accuracy of each split."""
        rows, labels = labelled(tables["embedding"], data)
        kept = tables["rehearsal"]
        known = kept.select(kept["label"] >= 0) if len(kept) else kept
        if not len(known):
            raise ValueError("The rehearsal store keeps no labelled item; there is no mean to be near to.")
        classes, place = known["label"].unique(return_inverse=True)
        unit = functional.normalize(known.z.double().flatten(1), dim=1)
        means = functional.normalize(unit.new_zeros(len(classes), unit.shape[1]).index_add(0, place, unit), dim=1)
        scores = []
        for name, (_, _, test) in splits_of(data, self.splits, labels).items():
            shown = functional.normalize(torch.from_numpy(rows[test]), dim=1)
            said = classes[torch.cdist(shown, means).argmin(1)]
            scores.append(Score("Accuracy", float(accuracy_score(labels[test], said.numpy())), split=name))
        return scores
