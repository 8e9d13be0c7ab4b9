"""What a code of subjects holds: the subject, and what should not be in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import final

import torch
from scipy.stats import spearmanr
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Figure, Matrix
from contrast_core.interfaces import Data, Evaluator, Score


@final
class Leakage(Evaluator):
    """Linear probes for the subject, its background and its pose, and how near subjects are to themselves and others.

    For each column of `probes` a logistic regression on standardised codes, fitted on the training items of every split
    and tested on its test items, "Probe: COLUMN". The subject should be found, the background should not: 1 over the
    number of classes is chance. Further, over all embedded items: "Same-subject neighbour", the share of codes whose
    nearest other one (cosine) is of the same subject; "Cosine, same subject" and "Cosine, others", means; and, if the
    embedding or the encoder's table `reference` has the column `appearance`, "Likeness, Spearman": the rank
    correlation, over pairs of subjects, of the cosine of their mean codes with that of their mean appearances.

    Args:
        probes: columns of a batch, int64.
        subject: the column that numbers the subjects.

    Raises:
        ValueError: in use, if a code is not finite, the data lack a column or a split, or have a single class.
    """

    needs = ("embedding", "reference", "reference.appearance")

    def __init__(self, probes: Sequence[str] = ("subject", "background", "pose"), subject: str = "subject"):
        self.probes, self.subject = tuple(probes), subject

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """The probes of each split, then the geometry."""
        table = tables["embedding"]
        z, items = table.z.float(), table["sample"]
        if not bool(z.isfinite().all()):
            raise ValueError("The codes are NaN or infinite; nothing can be read from them.")
        batch = data.batch(items)
        for column in (*self.probes, self.subject):
            if not isinstance(batch.get(column), Tensor):
                raise ValueError(f"The data's batches have no column '{column}' to look for in the codes.")
        if not data.splits:
            raise ValueError("The data have no split to fit a probe on.")
        scores: list[Score | Figure] = []
        for name, split in data.splits.items():
            train, test = (torch.isin(items, part) for part in (split.train, split.test))
            scores += [Score(f"Probe: {c}", probed(z, batch[c], train, test), split=name) for c in self.probes]
        who = batch[self.subject]
        kinds = who.unique()
        cosines = functional.normalize(z, dim=1) @ functional.normalize(z, dim=1).T
        alike, own = who[:, None] == who, torch.eye(len(z), dtype=torch.bool)
        nearest = cosines.masked_fill(own, -2).argmax(1)
        scores.append(Score("Same-subject neighbour", float((who[nearest] == who).float().mean())))
        for metric, which in (("Cosine, same subject", alike & ~own), ("Cosine, others", ~alike)):
            if bool(which.any()):
                scores.append(Score(metric, float(cosines[which].mean())))
        learned, real = (means(x, who, kinds) for x in (z, tables["reference"]["appearance"].float()))
        if len(kinds) > 2:
            upper = torch.triu_indices(len(kinds), len(kinds), 1)
            ranks = spearmanr(*(cosine[upper[0], upper[1]].numpy() for cosine in (learned, real)))
            # Without any spread there is no rank, and so no correlation.
            scores.append(Score("Likeness, Spearman", float(torch.tensor(float(ranks.statistic)).nan_to_num())))
        names = [data.classes[k] if k < len(data.classes) else str(k) for k in kinds.tolist()]
        reading = "Cosine of the mean codes of two subjects; those that look alike should be near."
        return [*scores, Matrix("Learned likeness of the subjects", reading, learned, names, names)]


def means(x: Tensor, who: Tensor, kinds: Tensor) -> Tensor:
    """Cosines of the mean rows of all kinds, centred over the kinds, (k, k)."""
    rows = torch.stack([x[who == kind].mean(0) for kind in kinds])
    rows = functional.normalize(rows - rows.mean(0), dim=1)
    return rows @ rows.T


def probed(z: Tensor, labels: Tensor, train: Tensor, test: Tensor) -> float:
    """Accuracy of a logistic regression.

    Raises:
        ValueError: if a side is empty, or only one class is there to be fitted.
    """
    if not bool(train.any()) or not bool(test.any()) or len(labels[train].unique()) < 2:
        raise ValueError("A probe needs items to be fitted on, of at least two classes, and others to be tested on.")
    mean, deviation = z[train].mean(0), z[train].std(0).clamp(min=1e-6)
    x, y = ((z - mean) / deviation).numpy(), labels.numpy()
    with warnings.catch_warnings():
        # Not converged after 300 steps is as good a probe; the accuracy is what counts.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=0.1, max_iter=300).fit(x[train], y[train])
    return float(fitted.score(x[test], y[test]))
