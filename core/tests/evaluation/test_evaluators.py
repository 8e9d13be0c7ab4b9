"""Probe, neighbours and clusters on embeddings whose answer is known, and what they refuse."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.clusters import Clustering
from contrast_core.evaluation.neighbours import KNN
from contrast_core.evaluation.probe import LinearProbe
from contrast_core.interfaces import Data, Evaluator, Flow, Split


class Items(Data):
    """Ninety items of three classes, a third in each part."""

    def __init__(self, labels: torch.Tensor | None, splits: Mapping[str, Split]):
        self._labels, self._splits = labels, splits

    def load(self) -> None:
        """Nothing to read."""

    def __len__(self) -> int:
        return 90

    def batch(self, items: torch.Tensor) -> Flow:
        """Only the numbers."""
        return {"sample": items}

    @property
    def labels(self) -> torch.Tensor | None:
        """As given."""
        return self._labels

    @property
    def splits(self) -> Mapping[str, Split]:
        """As given."""
        return self._splits


LABELS = torch.arange(90) % 3
SPLIT = Split(train=torch.arange(30), val=torch.arange(30, 60), test=torch.arange(60, 90))
DATA = Items(LABELS, {"all": SPLIT})
EVALUATORS: tuple[Evaluator, ...] = (LinearProbe(), KNN(), Clustering(runs=2))


def rows(noise: float) -> Embeddings:
    """Three groups round the unit vectors."""
    generator = torch.Generator().manual_seed(0)
    return Embeddings.of(torch.eye(3)[LABELS] + noise * torch.randn(90, 3, generator=generator))


def scores(evaluator: Evaluator, table: Embeddings, data: Data = DATA) -> dict[tuple[str, str], float]:
    """The means by split and metric."""
    found = evaluator.evaluate({"embedding": table}, data, torch.Generator().manual_seed(0))
    return {(score.split, score.metric): score.mean for score in found}


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_separate_classes_score_one(evaluator: Evaluator) -> None:
    """Every metric is then perfect."""
    assert set(scores(evaluator, rows(0.01)).values()) == {1.0}


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_noise_scores_near_chance(evaluator: Evaluator) -> None:
    """A third for classifiers, zero for clusters, far from one anyway."""
    assert max(scores(evaluator, rows(100.0)).values()) < 0.6


def test_neighbours_vote_as_a_plain_loop() -> None:
    """The majority among the five most alike training rows by cosine."""
    table = rows(0.6)
    unit = torch.nn.functional.normalize(table.z.double(), dim=1)
    hits = 0
    for item in SPLIT.test.tolist():
        nearest = sorted(SPLIT.train.tolist(), key=lambda other: -float(unit[item] @ unit[other]))[:5]
        votes = torch.bincount(LABELS[nearest], minlength=3)
        hits += int(votes.argmax() == LABELS[item])
    assert 0.4 < hits / 30 < 1
    assert scores(KNN(k=5), table)["all", "Accuracy"] == pytest.approx(hits / 30)


def test_the_probe_is_chosen_on_validation_rows() -> None:
    """Its score is that of scikit-learn's classifier of the strength that does best there."""
    table = rows(0.7)
    z = table.z.double()
    train = z[SPLIT.train]
    z = (z - train.mean(0)) / train.std(0, correction=0)
    best, tested = -1.0, 0.0
    for strength in (0.001, 1.0, 100.0):
        fitted = LogisticRegression(C=strength, max_iter=1000).fit(z[:30].numpy(), LABELS[:30].numpy())
        chosen = fitted.score(z[30:60].numpy(), LABELS[30:60].numpy())
        if chosen > best:
            best, tested = chosen, fitted.score(z[60:].numpy(), LABELS[60:].numpy())
    found = scores(LinearProbe(strengths=[0.001, 1.0, 100.0]), table)
    assert found["all", "Accuracy"] == pytest.approx(tested)


def test_clusters_are_reproducible_and_spread_is_reported() -> None:
    """The generator decides; several runs have a deviation."""
    found = [
        Clustering(runs=3).evaluate({"embedding": rows(0.7)}, DATA, torch.Generator().manual_seed(4)) for _ in range(2)
    ]
    assert [score.mean for score in found[0]] == [score.mean for score in found[1]]
    assert [score.metric for score in found[0]] == ["NMI", "ARI"]
    assert all(score.deviation is not None for score in found[0])


def test_unknown_labels_are_left_out() -> None:
    """Items of label -1 neither train nor count."""
    labels = LABELS.clone()
    labels[::4] = -1
    table = rows(0.01)
    table.z[::4] = 5.0
    for evaluator in EVALUATORS:
        assert set(scores(evaluator, table, Items(labels, {"all": SPLIT})).values()) == {1.0}


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_missing_labels_and_broken_embeddings_are_refused(evaluator: Evaluator) -> None:
    """No labels, too few of them, none known, or an embedding that is not finite."""
    with pytest.raises(ValueError, match="no labels"):
        scores(evaluator, rows(0.1), Items(None, {"all": SPLIT}))
    with pytest.raises(ValueError, match=r"90 embedded items but labels of shape \(89,\)"):
        scores(evaluator, rows(0.1), Items(LABELS[:89], {"all": SPLIT}))
    with pytest.raises(ValueError, match="No item"):
        scores(evaluator, rows(0.1), Items(torch.full((90,), -1), {"all": SPLIT}))
    broken = rows(0.1)
    broken.z[3, 0] = float("nan")
    with pytest.raises(ValueError, match="embedding of 1 of 90 items"):
        scores(evaluator, broken)


@pytest.mark.parametrize("kind", [LinearProbe, KNN])
def test_missing_and_empty_splits_are_refused(kind: type[LinearProbe | KNN]) -> None:
    """The sentence names the split and its part."""
    with pytest.raises(ValueError, match="no splits"):
        scores(kind(), rows(0.1), Items(LABELS, {}))
    with pytest.raises(ValueError, match=r"no split 'al', only all\. Did you mean all\?"):
        scores(kind(splits=["al"]), rows(0.1))
    empty = Split(train=SPLIT.train, val=SPLIT.val, test=torch.arange(0))
    with pytest.raises(ValueError, match="test part of split 'all' has no labelled item"):
        scores(kind(), rows(0.1), Items(LABELS, {"all": empty}))
    alike = Split(train=torch.arange(0, 30, 3), val=SPLIT.val, test=SPLIT.test)
    with pytest.raises(ValueError, match="one class only"):
        scores(kind(), rows(0.1), Items(LABELS, {"all": alike}))
    beyond = Split(train=SPLIT.train, val=SPLIT.val, test=torch.tensor([90]))
    with pytest.raises(ValueError, match="names row 90"):
        scores(kind(), rows(0.1), Items(LABELS, {"all": beyond}))


def test_wrong_options_are_refused() -> None:
    """Neighbours, strengths, steps and runs are counted from one."""
    with pytest.raises(ValueError, match="at least 1"):
        KNN(k=0)
    with pytest.raises(ValueError, match="k = 31 neighbours"):
        scores(KNN(k=31), rows(0.1))
    with pytest.raises(ValueError, match="above 0"):
        LinearProbe(strengths=[0.0])
    with pytest.raises(ValueError, match="at least 1"):
        LinearProbe(steps=0)
    with pytest.raises(ValueError, match="at least 1"):
        Clustering(runs=0)
