"""What can be read from which space: linear and non-linear probes, and how much one space predicts the other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Cell, Figure, Images, Matrix
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_medical.data.grouped import TwoGroups
from contrast_medical.roles import TARGET

SPACES = ("common", "salient")


@final
class Separation(Evaluator):
    """Every attribute read from every space, on target images; where it does not belong it should be left to chance.

    Scores, of target images to test on, as fractions:
        ATTRIBUTE in SPACE       balanced accuracy of a logistic regression (scikit-learn's defaults) on that space;
                                 "k-NN" the same of the nearest neighbours, which need no linear trace.
        delta                    sum over cells of |accuracy - ideal|, 1 where it belongs, 1/classes where not; the
                                 paper's delta_tot is 100 times this, with its own attributes.
        target in SPACE          background against target, on all images.
        R^2 common from salient  of a ridge regression, and the other way round: what is linear of the leakage.
        HSIC                     normalised, with Gaussian kernels of median width: 0 only for independent spaces.

    Figures: the table of linear probes, and nearest neighbours in both spaces side by side.

    Args:
        neighbours: k of the k-NN probe.
        shown: how many images the picture of neighbours shows; 0 leaves it out.
        common: how many columns of the embedding, from the first on, are the common space; the others are the salient
            one. Left out, half of them: so `medical/two-spaces` gives them, and any encoder's embedding can be split.

    Raises:
        ValueError: for k below 1; in use, if the data are not of two groups, the embedding can't be split so or is not
            finite, or a split has too few target images with known attributes.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928; HSIC, Gretton et al., ALT 2005, normalised as in
        Kornblith et al., arXiv 1905.00414.
    """

    needs = ("embedding",)

    def __init__(self, neighbours: int = 15, shown: int = 4, common: int | None = None):
        if neighbours < 1 or shown < 0 or (common is not None and common < 1):
            raise ValueError(
                f"neighbours = {neighbours} and common = {common} must be at least 1, shown = {shown} not negative."
            )
        self.neighbours, self.shown, self.common = neighbours, shown, common

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """Scores of attributes, of roles and of leakage, and two figures."""
        if not isinstance(data, TwoGroups):
            raise ValueError(
                "Separation is measured on data of two groups, as medical/images or medical/planted-digits."
            )
        table = tables["embedding"]
        rows = self._spaces(table)
        split = data.splits["all"]
        target = data.roles == TARGET
        fit, test = torch.cat([split.train, split.val]), split.test
        scores: list[Score | Figure] = []
        cells = torch.full((len(data.attributes), 2), float("nan"))
        delta = 0.0
        for place, (name, attribute) in enumerate(data.attributes.items()):
            known = target & (attribute.values >= 0)
            values = attribute.values.numpy()
            parts = [part[known[part]].numpy() for part in (fit, test)]
            if len(parts[1]) == 0 or len(set(values[parts[0]].tolist())) < 2:
                raise ValueError(f"The attribute '{name}' is known of too few target images to train and test a probe.")
            for column, space in enumerate(SPACES):
                linear = _probed(LogisticRegression(max_iter=1000), rows[space], values, parts)
                k = min(self.neighbours, len(parts[0]))
                near = _probed(KNeighborsClassifier(k), rows[space], values, parts)
                scores += [Score(f"{name} in {space}", linear), Score(f"{name} in {space}, k-NN", near)]
                ideal = 1.0 if space == attribute.space else 1 / len(set(values[parts[1]].tolist()))
                delta += abs(linear - ideal)
                cells[place, column] = linear
        scores = [Score("delta", delta), *scores] if data.attributes else scores
        every = [fit.numpy(), test.numpy()]
        for space in SPACES:
            found = _probed(LogisticRegression(max_iter=1000), rows[space], data.roles.numpy(), every)
            scores.append(Score(f"target in {space}", found))
        parts = [part[target[part]].numpy() for part in (fit, test)]
        scores.append(Score("R^2 common from salient", _explained(rows["salient"], rows["common"], parts)))
        scores.append(Score("R^2 salient from common", _explained(rows["common"], rows["salient"], parts)))
        scores.append(Score("HSIC", hsic(rows["common"][parts[1]], rows["salient"][parts[1]])))
        if data.attributes:
            scores.append(_matrix(data, cells))
        if self.shown:
            scores.append(_neighbours(data, rows, parts[1], self.shown, generator))
        return scores

    def _spaces(self, table: Embeddings) -> Mapping[str, NDArray[Any]]:
        z = table.z.detach().cpu().double().flatten(1).numpy()
        if not numpy.isfinite(z).all():
            raise ValueError("The embedding is NaN or infinite; there is nothing to score.")
        common = z.shape[1] // 2 if self.common is None else self.common
        if not 0 < common < z.shape[1]:
            raise ValueError(
                f"Of {z.shape[1]} columns of the embedding {common} can't be common: both spaces need some."
            )
        return {"common": z[:, :common], "salient": z[:, common:]}


def _probed(probe: Any, rows: NDArray[Any], values: NDArray[Any], parts: Sequence[NDArray[Any]]) -> float:
    fit, test = parts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # scikit-learn warns where a class is predicted that the test part lacks.
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        predicted = make_pipeline(StandardScaler(), probe).fit(rows[fit], values[fit]).predict(rows[test])
        return float(balanced_accuracy_score(values[test], predicted))


def _explained(given: NDArray[Any], wanted: NDArray[Any], parts: Sequence[NDArray[Any]]) -> float:
    """Share of the variance of all wanted columns together that is explained on the test rows."""
    fit, test = parts
    model = make_pipeline(StandardScaler(), RidgeCV(numpy.logspace(-2, 4, 7))).fit(given[fit], wanted[fit])
    left = ((wanted[test] - model.predict(given[test])) ** 2).sum()
    whole = ((wanted[test] - wanted[fit].mean(0)) ** 2).sum()
    return float(1 - left / whole) if whole else 0.0


def hsic(one: NDArray[Any], two: NDArray[Any]) -> float:
    """Normalised HSIC of paired rows, from 0 to 1: tr(K H L H) / sqrt(tr(K H K H) tr(L H L H)); 0 for constant rows."""
    first, second = (_centred(torch.from_numpy(rows)) for rows in (one, two))
    scale = (first.square().sum() * second.square().sum()).sqrt()
    return float((first * second).sum() / scale) if scale > 0 else 0.0


def _centred(rows: torch.Tensor) -> torch.Tensor:
    squares = torch.cdist(rows, rows).square()
    width = squares[~torch.eye(len(rows), dtype=torch.bool)].median() if len(rows) > 1 else squares.sum()
    kernel = torch.exp(-squares / width.clamp(min=1e-300))
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()


def _matrix(data: TwoGroups, cells: torch.Tensor) -> Matrix:
    names = [f"{name} ({attribute.space})" for name, attribute in data.attributes.items()]
    reading = (
        "Balanced accuracy of linear probes on unseen target images. In brackets the space where the attribute "
        "belongs: there it should be 1, in the other space at chance."
    )
    return Matrix("What can be read from which space", reading, cells, names, SPACES, "attribute \\ space")


def _neighbours(
    data: TwoGroups, rows: Mapping[str, NDArray[Any]], test: NDArray[Any], shown: int, generator: torch.Generator
) -> Images:
    chosen = torch.randperm(len(test), generator=generator)[:shown].tolist()
    names = data.names
    lines: list[list[Cell | None]] = []
    for number in chosen:
        line: list[Cell | None] = [_cell(data, names, int(test[number]))]
        for space in SPACES:
            points = torch.from_numpy(rows[space][test])
            distance = torch.cdist(points[number : number + 1], points)[0]
            distance[number] = float("inf")
            near = distance.argsort()[: min(3, len(test) - 1)].tolist()
            line += [_cell(data, names, int(test[other])) for other in near] + [None] * (3 - len(near))
        lines.append(line)
    columns = ["image", *(f"{space} {rank}" for space in SPACES for rank in (1, 2, 3))]
    reading = (
        "Each unseen target image with its three nearest neighbours in the common space and in the salient space: the "
        "former should share what both groups show, the latter what only the target shows."
    )
    return Images("Neighbours in both spaces", reading, lines, columns=columns)


def _cell(data: TwoGroups, names: Sequence[str], item: int) -> Cell:
    return Cell(data.images[item], names[item] if names else f"image {item}")
