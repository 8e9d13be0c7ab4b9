"""How well two spaces are separated: probes, their distance from the ideal, leakage, neighbours to look at."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Cell, Figure, Images, Matrix
from contrast_core.interfaces import Data, Evaluator, Score, Split
from contrast_medical.data.two_sets import Attribute, TwoSets
from contrast_medical.leakage import cross_prediction, normalised_hsic
from contrast_medical.roles import TARGET

SPACES = ("common", "salient")
Rows = Mapping[str, NDArray[Any]]


@final
class Separation(Evaluator):
    """What can be read out of each space, and what one gives away of the other.

    For every attribute, from the representation of each space, on target images: balanced accuracy on the test items of
    logistic regression (scikit-learn's defaults on standardised rows) and, as a non-linear probe, of the 15 nearest
    neighbours, both fitted on the training items. The role is asked of all images, linearly. As fractions; then

        delta_tot = 100 sum over attributes and spaces of |accuracy - ideal|,

    ideal 1 where the attribute belongs and 1 / classes elsewhere: 0 is perfect. R^2 is that of common representations
    predicted from salient ones (see `cross_prediction`), HSIC their normalised Hilbert-Schmidt independence criterion,
    both on test targets. Figures: the accuracies, and nearest neighbours of a few targets in both spaces side by side.

    Args:
        view: the encoder's table that is read; in evaluation all views are the image itself.
        neighbours: how many are shown a query and space; 0 shows none.
        queries: how many.

    Raises:
        ValueError: for negative numbers; in use, if the data have no roles and attributes or an attribute has one class
            among the training targets.

    Paper: SepCLR, ICLR 2024, arXiv 2402.11928; neighbours, R^2 and HSIC are not in it.
    """

    def __init__(self, view: str = "one", neighbours: int = 5, queries: int = 6):
        if neighbours < 0 or queries < 1:
            raise ValueError(f"neighbours = {neighbours} must not be negative and queries = {queries} at least 1.")
        self.view, self.neighbours, self.queries = view, neighbours, queries
        self.needs = ("embedding", view, *(f"{view}.{space}-representation" for space in SPACES))

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """The scores, then the figures."""
        if not isinstance(data, TwoSets):
            raise ValueError(
                "medical/two-space-probes asks data of two sets about their attributes, such as medical/planted or "
                f"medical/images; {type(data).__name__} has none."
            )
        rows = {space: tables[self.view][f"{space}-representation"].double().numpy() for space in SPACES}
        everything = [*rows.values(), tables["embedding"].z.numpy()]
        if not all(numpy.isfinite(table).all() for table in everything):
            raise ValueError("The representation of some items is NaN or infinite; there is nothing to score.")
        split = data.splits["all"]
        scores, cells, delta = [], [], 0.0
        for name, attribute in data.attributes.items():
            known = (data.labels == TARGET) & (attribute.values >= 0)
            line = []
            for space in SPACES:
                linear, near = (_probe(rows[space], attribute, known, split, name, kind) for kind in ("linear", "near"))
                ideal = 1.0 if attribute.space == space else 1 / len(attribute.classes)
                delta += 100 * abs(linear - ideal)
                scores.append(Score(f"{name}, linear", linear, split=f"in {space}"))
                scores.append(Score(f"{name}, neighbours", near, split=f"in {space}"))
                line.append(linear)
            cells.append(line)
        role = Attribute("salient", data.labels, data.classes)
        everyone = torch.ones(len(data), dtype=torch.bool)
        for space in SPACES:
            value = _probe(rows[space], role, everyone, split, "role", "linear")
            scores.append(Score("role, linear", value, split=f"in {space}"))
        target = split.test[data.labels[split.test] == TARGET]
        c, s = (torch.from_numpy(rows[space])[target] for space in SPACES)
        found: list[Score | Figure] = [Score("delta_tot", delta)] if data.attributes else []
        found += [*scores, Score("R^2", cross_prediction(s, c), split="common from salient")]
        found.append(Score("HSIC", normalised_hsic(c[:1000], s[:1000]), split="common and salient"))
        if cells:
            found.append(
                Matrix(
                    "What is read out of each space",
                    "Balanced accuracy of a linear probe on target images never trained on. Ideal is 1 where the "
                    "attribute belongs and chance elsewhere.",
                    torch.tensor(cells), list(data.attributes), list(SPACES), "attribute \\ space",
                )
            )  # fmt: skip
        if self.neighbours:
            found.append(self._picture(c, s, data.batch(target)["image"]))
        return found

    def _picture(self, c: Tensor, s: Tensor, images: Tensor) -> Images:
        count = min(self.neighbours, len(images) - 1)
        rows = []
        for query in range(min(self.queries, len(images))):
            line: list[Cell | None] = [Cell(images[query], "query")]
            for space, table in (("common", c), ("salient", s)):
                distance = (table - table[query]).norm(dim=1)
                distance[query] = torch.inf
                nearest = distance.topk(count, largest=False).indices
                line += [None, *(Cell(images[i], space) for i in nearest.tolist())]
            rows.append(line)
        return Images(
            "Nearest neighbours in the common and in the salient space",
            "Target images never trained on: to the left the query, then the images nearest to it in the common space, "
            "then those in the salient space. The first should share what both sets show, the second what only targets "
            "have.",
            rows,
        )


def _probe(rows: NDArray[Any], attribute: Attribute, known: Tensor, split: Split, name: str, kind: str) -> float:
    train, test = (part[known[part]].numpy() for part in (torch.cat([split.train, split.val]), split.test))
    values = attribute.values.numpy()
    if len(numpy.unique(values[train])) < 2 or not len(test):
        raise ValueError(
            f"The attribute '{name}' has {len(numpy.unique(values[train]))} class among {len(train)} training and "
            f"{len(test)} test images; a probe needs two classes to train on and something to test on."
        )
    classifier = LogisticRegression(max_iter=1000) if kind == "linear" else KNeighborsClassifier(min(15, len(train)))
    probe = make_pipeline(StandardScaler(), classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Small test sets may lack a class.
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        return float(balanced_accuracy_score(values[test], probe.fit(rows[train], values[train]).predict(rows[test])))
