"""The digits that come with scikit-learn."""

from __future__ import annotations

import pytest
import torch

from contrast_core.data.digits import Digits


def loaded(**options: object) -> Digits:
    """A data set that has been read."""
    data = Digits(**options)  # type: ignore[arg-type]
    data.load()
    return data


def test_images_are_numbers_between_zero_and_one() -> None:
    """A batch holds one-channel float images, their numbers and labels."""
    data = loaded()
    batch = data.batch(torch.tensor([5, 0, 1796]))
    assert len(data) == 1797
    assert batch["image"].shape == (3, 1, 8, 8)
    assert batch["image"].dtype == torch.float32
    assert float(batch["image"].min()) >= 0
    assert float(batch["image"].max()) <= 1
    assert batch["sample"].tolist() == [5, 0, 1796]
    assert set(batch) == {name for name in data.gives if "." not in name}


def test_every_item_is_in_one_part_and_classes_are_in_proportion() -> None:
    """The split is a partition, with exact sizes and every class's share in each part."""
    data = loaded(validation=0.1, test=0.4)
    split = data.splits["all"]
    assert [len(part) for part in (split.train, split.val, split.test)] == [898, 180, 719]
    assert torch.cat([split.train, split.val, split.test]).sort().values.equal(torch.arange(1797))
    assert data.labels is not None
    whole = torch.bincount(data.labels).double()
    assert ((torch.bincount(data.labels[split.test]) - 0.4 * whole).abs() <= 1).all()


def test_splits_follow_their_seed_alone() -> None:
    """The same seed gives the same split, whatever was drawn in between; another one another."""
    one = loaded(split_seed=3).splits["all"].test
    torch.rand(7)
    assert loaded(split_seed=3).splits["all"].test.equal(one)
    assert not loaded(split_seed=4).splits["all"].test.equal(one)


def test_labels_that_are_tested_on_are_never_shown() -> None:
    """By default a batch holds the labels of the training items, and -1 for the others."""
    data = loaded()
    shown, split = data.batch(torch.arange(1797))["label"], data.splits["all"]
    assert data.labels is not None
    assert shown[split.train].equal(data.labels[split.train])
    assert (shown[split.test] == -1).all()
    assert (shown[split.val] == -1).all()


@pytest.mark.parametrize(("shown", "count"), [("all", 1797), ("none", 0)])
def test_all_or_no_labels_can_be_shown(shown: str, count: int) -> None:
    """The option chooses whose labels batches hold; evaluators see all anyway."""
    data = loaded(shown=shown)
    assert int((data.batch(torch.arange(1797))["label"] >= 0).sum()) == count
    assert data.labels is not None
    assert int(data.labels.min()) == 0


def test_fractions_must_leave_something_to_train_on() -> None:
    """A split without training items is refused at once."""
    with pytest.raises(ValueError, match=r"together less than 1"):
        Digits(validation=0.5, test=0.5)
