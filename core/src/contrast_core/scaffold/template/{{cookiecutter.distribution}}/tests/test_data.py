"""Wine: the table is whole, standardised on its training rows, and split by class."""

from __future__ import annotations

import torch

from {{ cookiecutter.__package }}.data import Wine


def loaded(**settings: object) -> Wine:
    """The data set, read."""
    wine = Wine(**settings)
    wine.load()
    return wine


def test_the_table_is_the_published_one() -> None:
    """178 wines of 59, 71 and 48; 13 features that a batch holds beside numbers and labels."""
    wine = loaded()
    assert len(wine) == 178
    assert torch.bincount(wine.labels).tolist() == [59, 71, 48]
    assert len(wine.classes) == 3
    batch = wine.batch(torch.tensor([5, 2]))
    assert batch["features"].shape == (2, 13)
    assert batch["sample"].tolist() == [5, 2]


def test_features_are_standardised_on_the_training_rows() -> None:
    """Mean 0 and deviation 1 there, and the first wine's alcohol, 14.23, by hand."""
    wine = loaded()
    split = wine.splits["all"]
    features = wine.batch(torch.arange(178))["features"]
    torch.testing.assert_close(features[split.train].mean(0), torch.zeros(13), rtol=0, atol=1e-5)
    torch.testing.assert_close(features[split.train].std(0, correction=0), torch.ones(13))
    kept = wine.fitted()
    assert float(features[0, 0] * kept["deviation"][0] + kept["mean"][0]) - 14.23 < 1e-4


def test_labels_of_tested_wines_are_not_shown() -> None:
    """A batch holds -1 for them; the parts of the split are disjoint and everything together."""
    wine = loaded()
    split = wine.splits["all"]
    shown = wine.batch(torch.arange(178))["label"]
    assert (shown[split.test] == -1).all()
    assert torch.equal(shown[split.train], wine.labels[split.train])
    everything = torch.cat([split.train, split.val, split.test]).sort().values
    assert torch.equal(everything, torch.arange(178))
