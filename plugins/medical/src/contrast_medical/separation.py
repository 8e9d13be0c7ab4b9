"""What can be read from which space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy
import torch
from numpy.typing import NDArray

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Figure, Matrix
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_medical.data.grouped import Attribute, TwoGroups
from contrast_medical.picture import neighbours_of
from contrast_medical.probes import Parts, classified, leakage, regressed
from contrast_medical.roles import TARGET

SPACES = ("common", "salient")


@final
class Separation(Evaluator):
    """Every attribute read from every space, on target images; where it does not belong it should be left to chance.

    Scores, of target images to test on, as fractions:
        ATTRIBUTE in SPACE       of classes, balanced accuracy of a logistic regression (scikit-learn's penalty, rows
                                 as they are), "k-NN" and "MLP" the same of probes that need no linear trace; of
                                 numbers, R^2 of a ridge regression and of the others, and "error", the mean absolute
                                 error of the first.
        delta                    sum over attributes of classes and spaces of |accuracy - ideal|, 1 where it belongs,
                                 1 / classes where not; the paper's delta_tot is 100 times this, with its attributes.
        target in SPACE          background against target, on all images.
        R^2 common from salient  of a ridge regression, and the other way round: what is linear of the leakage.
        HSIC                     normalised, with Gaussian kernels of median width: 0 only for independent spaces.

    Figures: the table of linear probes, and nearest neighbours in both spaces side by side.

    Args:
        table: which of the encoder's tables: "embedding", what is exported, as in the paper; or for example "one", for
            the rows of that view which the losses see. Spaces are its fields `common` and `salient`, or, of an encoder
            that has none, the parts of its one embedding.
        common: then, how many columns of the embedding, from the first on, are the common space; left out, half.
        neighbours: k of the k-NN probe.
        hidden: width of the MLP's layer; 0 leaves this slow probe out.
        shown: how many images the picture of neighbours shows; 0 leaves it out.

    Raises:
        ValueError: for options out of range; in use, if the data are not of two groups, the embedding can't be split so
            or is not finite, or an attribute is known of too few target images to fit and test a probe.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928; HSIC, Gretton et al., ALT 2005, normalised as in
        Kornblith et al., arXiv 1905.00414.
    """

    def __init__(
        self,
        table: str = "embedding",
        common: int | None = None,
        neighbours: int = 15,
        hidden: int = 0,
        shown: int = 4,
    ):
        if neighbours < 1 or min(hidden, shown) < 0 or (common is not None and common < 1):
            raise ValueError(
                f"neighbours = {neighbours} and common = {common} must be at least 1, hidden = {hidden} and "
                f"shown = {shown} not negative."
            )
        self.table, self.common, self.neighbours, self.hidden, self.shown = table, common, neighbours, hidden, shown
        self.needs = tuple(dict.fromkeys(("embedding", table)))

    def check(self, data: Data) -> None:
        """Raise ValueError if the data are not of two groups, or an attribute is known of too few target images."""
        _checked(data)

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """Scores of attributes, of roles and of leakage, and two figures."""
        data = _checked(data)
        rows = self._spaces(tables[self.table])
        split = data.splits["all"]
        fit, test = torch.cat([split.train, split.val]), split.test
        target = data.roles == TARGET
        parts = _parts(fit, test, target)
        scores: list[Score | Figure] = []
        cells = torch.full((len(data.attributes), len(SPACES)), float("nan"))
        delta = 0.0
        for place, (name, attribute) in enumerate(data.attributes.items()):
            known = _parts(fit, test, target & attribute.known)
            values = attribute.values.numpy()
            read = regressed if attribute.values.is_floating_point() else classified
            for column, space in enumerate(SPACES):
                found = read(rows[space], values, known, self.neighbours, self.hidden)
                scores += [Score(f"{name} in {space}{f', {kind}' * bool(kind)}", x) for kind, x in found.items()]
                cells[place, column] = max(found[""], 0.0)
                if attribute.classes:
                    ideal = 1.0 if space == attribute.space else 1 / len(set(values[known[1]].tolist()))
                    delta += abs(found[""] - ideal)
        if any(attribute.classes for attribute in data.attributes.values()):
            scores.insert(0, Score("delta", delta))
        every = _parts(fit, test, torch.ones_like(target))
        for space in SPACES:
            found = classified(rows[space], data.roles.numpy(), every, self.neighbours, 0)
            scores.append(Score(f"target in {space}", found[""]))
        scores += [Score(name, value) for name, value in leakage(rows, parts).items()]
        if data.attributes:
            scores.append(_matrix(data.attributes, cells))
        if self.shown:
            scores.append(neighbours_of(data, rows, parts[1], self.shown, generator))
        return scores

    def _spaces(self, table: Embeddings) -> Mapping[str, NDArray[Any]]:
        if all(space in table for space in SPACES):
            rows = {space: _numbers(table[space]) for space in SPACES}
        else:
            z = _numbers(table.z)
            common = z.shape[1] // 2 if self.common is None else self.common
            if not 0 < common < z.shape[1]:
                raise ValueError(
                    f"Of {z.shape[1]} columns of the embedding {common} can't be common: both spaces need some."
                )
            rows = {"common": z[:, :common], "salient": z[:, common:]}
        if not all(numpy.isfinite(each).all() for each in rows.values()):
            raise ValueError("The embedding is NaN or infinite; there is nothing to score.")
        return rows


def _checked(data: Data) -> TwoGroups:
    if not isinstance(data, TwoGroups):
        raise ValueError("Separation is measured on data of two groups, as medical/images or medical/planted-digits.")
    split = data.splits["all"]
    for name, attribute in data.attributes.items():
        known = (data.roles == TARGET) & attribute.known
        fit, test = _parts(torch.cat([split.train, split.val]), split.test, known)
        if not len(test) or len(attribute.values[fit].unique()) < 2:
            raise ValueError(f"The attribute '{name}' is known of too few target images to fit and test a probe.")
    return data


def _numbers(rows: torch.Tensor) -> NDArray[Any]:
    found: NDArray[Any] = rows.detach().cpu().double().flatten(1).numpy()
    return found


def _parts(fit: torch.Tensor, test: torch.Tensor, chosen: torch.Tensor) -> Parts:
    return fit[chosen[fit]].numpy(), test[chosen[test]].numpy()


def _matrix(attributes: Mapping[str, Attribute], cells: torch.Tensor) -> Matrix:
    names = [f"{name} ({attribute.space})" for name, attribute in attributes.items()]
    reading = (
        "Balanced accuracy (of numbers, R^2) of linear probes on unseen target images. In brackets the space where the "
        "attribute belongs: there it should be 1, in the other space at chance (of numbers, 0)."
    )
    return Matrix("What can be read from which space", reading, cells, names, SPACES, "attribute \\ space")
