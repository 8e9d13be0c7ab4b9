"""Probes of one space, linear and not, and how much one space tells of the other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Parts = tuple[NDArray[Any], NDArray[Any]]
"""Numbers of the rows to fit a probe on, and to test it on."""


def classified(
    rows: NDArray[Any], values: NDArray[Any], parts: Parts, neighbours: int, hidden: int
) -> dict[str, float]:
    """Balanced accuracy on the test rows by kind of probe.

    "": logistic regression with scikit-learn's default penalty on the rows as they are, as in the paper; "k-NN";
    "MLP", one hidden layer on standardised rows, if `hidden` is not 0.
    """
    probes: dict[str, Any] = {
        "": LogisticRegression(max_iter=1000),
        "k-NN": KNeighborsClassifier(min(neighbours, len(parts[0]))),
    }
    if hidden:
        # A probe: the same for whatever seed the run has.
        probes["MLP"] = make_pipeline(StandardScaler(), MLPClassifier((hidden,), max_iter=200, random_state=0))
    return {kind: _accuracy(probe, rows, values, parts) for kind, probe in probes.items()}


def regressed(rows: NDArray[Any], values: NDArray[Any], parts: Parts, neighbours: int, hidden: int) -> dict[str, float]:
    """R^2 on the test rows by kind of probe: "" ridge regression, "k-NN", "MLP"; and the ridge's "error".

    The error is the mean absolute one, in the unit of the values.
    """
    fit, test = parts
    probes: dict[str, Any] = {"": ridge(), "k-NN": KNeighborsRegressor(min(neighbours, len(fit)))}
    if hidden:
        probes["MLP"] = make_pipeline(StandardScaler(), MLPRegressor((hidden,), max_iter=200, random_state=0))
    found = {}
    for kind, probe in probes.items():
        predicted = _predicted(probe, rows, values, parts)
        left = ((values[test] - predicted) ** 2).sum()
        whole = ((values[test] - values[fit].mean()) ** 2).sum()
        found[kind] = float(1 - left / whole) if whole else 0.0
        if not kind:
            found["error"] = float(abs(values[test] - predicted).mean())
    return found


def explained(given: NDArray[Any], wanted: NDArray[Any], parts: Parts) -> float:
    """R^2 of a ridge regression of rows on rows: share of the variance of all columns together, on the test rows."""
    fit, test = parts
    left = ((wanted[test] - _predicted(ridge(), given, wanted, parts)) ** 2).sum()
    whole = ((wanted[test] - wanted[fit].mean(0)) ** 2).sum()
    return float(1 - left / whole) if whole else 0.0


def ridge() -> Any:
    """Ridge regression on standardised rows, its penalty chosen within the rows it is fitted on."""
    return make_pipeline(StandardScaler(), RidgeCV(numpy.logspace(-2, 4, 7)))


def hsic(one: NDArray[Any], two: NDArray[Any]) -> float:
    """Normalised HSIC of paired rows, from 0 to 1: tr(K H L H) / sqrt(tr(K H K H) tr(L H L H)); 0 for constant rows.

    K and L are Gaussian kernels whose width is the median distance, H takes means away.
    """
    first, second = (_centred(torch.from_numpy(rows)) for rows in (one, two))
    scale = (first.square().sum() * second.square().sum()).sqrt()
    return float((first * second).sum() / scale) if scale > 0 else 0.0


def leakage(rows: Mapping[str, NDArray[Any]], parts: Parts) -> dict[str, float]:
    """What one of two spaces tells of the other: R^2 both ways, and HSIC of the test rows."""
    common, salient = rows["common"], rows["salient"]
    return {
        "R^2 common from salient": explained(salient, common, parts),
        "R^2 salient from common": explained(common, salient, parts),
        "HSIC": hsic(common[parts[1]], salient[parts[1]]),
    }


def _accuracy(probe: Any, rows: NDArray[Any], values: NDArray[Any], parts: Parts) -> float:
    with warnings.catch_warnings():
        # scikit-learn warns where a class is predicted that the test part lacks.
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        return float(balanced_accuracy_score(values[parts[1]], _predicted(probe, rows, values, parts)))


def _predicted(probe: Any, rows: NDArray[Any], values: NDArray[Any], parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    fit, test = parts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        predicted: NDArray[Any] = probe.fit(rows[fit], values[fit]).predict(rows[test])
    return predicted


def _centred(rows: torch.Tensor) -> torch.Tensor:
    squares = torch.cdist(rows, rows).square()
    width = squares[~torch.eye(len(rows), dtype=torch.bool)].median() if len(rows) > 1 else squares.sum()
    kernel = torch.exp(-squares / width.clamp(min=1e-300))
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
