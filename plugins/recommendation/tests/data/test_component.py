"""The data component `recommendation/interactions`: what it gives and what it refuses."""

from __future__ import annotations

import pytest
import torch

from contrast_recommendation.data import movielens
from contrast_recommendation.data.component import Interactions

LINES = "".join(f"u{u} " + " ".join(f"i{(u * 3 + k) % 11}" for k in range(5 + u)) + "\n" for u in range(6))


@pytest.fixture
def file(tmp_path):
    """Six users with 5 to 10 of 11 items."""
    path = tmp_path / "log.txt"
    path.write_text(LINES)
    return path


def test_a_batch(file):
    """All named inputs, int64, left-aligned and padded with zeros."""
    data = Interactions(file, user_minimum=1, item_minimum=1, max_length=4)
    data.load()
    batch = data.batch(torch.tensor([1, len(data) - 1]))
    assert set(batch) == set(Interactions.gives)
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "item_seq": (2, 4), "length": (2,), "target": (2,), "sample": (2,), "items": ()
    }  # fmt: skip
    assert all(value.dtype == torch.int64 for value in batch.values())
    ids = {name: number for number, name in enumerate(data.sequences.names, 1)}
    assert batch["item_seq"].tolist() == [[ids["i0"], ids["i1"], 0, 0], [ids[f"i{k}"] for k in (9, 10, 0, 1)]]
    assert batch["length"].tolist() == [2, 4]
    assert batch["target"].tolist() == [ids["i2"], ids["i2"]]
    assert int(batch["items"]) == 11


def test_training_and_evaluation_do_not_meet(file):
    """Training samples come first, then one validation and one test sample a user; together they are all."""
    data = Interactions(file, user_minimum=1, item_minimum=1)
    data.load()
    assert torch.cat([data.training_items, data.evaluation_items]).tolist() == list(range(len(data)))
    split = data.splits["leave-one-out"]
    assert torch.equal(torch.cat([split.val, split.test]), data.evaluation_items)
    assert list(data.names[-6:]) == [f"u{u}" for u in range(6)]
    assert data.names[0] == "u0"
    assert len(data.names) == len(data)
    assert data.labels is None


def test_movielens_is_found_in_the_wheel():
    """Without a path: MovieLens 100K after the 5-core filter, its licence named, every user evaluated."""
    data = Interactions()
    data.load()
    assert (len(data.sequences.users), len(data.sequences.names)) == (943, 1349)
    assert len(data.evaluation_items) == 2 * 943
    assert len(data.training_items) == len(data.sequences.items) - 3 * 943
    for words in ("MovieLens 100K", "GroupLens", "forbids commercial use", "943 users", "713 interactions"):
        assert words in data.source


def test_movielens_without_recbole(monkeypatch):
    """Where recbole is not installed the sentence says how to get it."""
    monkeypatch.setattr(movielens, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        Interactions().load()


def test_a_trained_model_keeps_the_items_numbers(tmp_path, file):
    """Another file is read with the ids of the first; an item that the first did not have is named."""
    data = Interactions(file, user_minimum=1, item_minimum=1)
    data.load()
    other = tmp_path / "other.txt"
    other.write_text("new i5 i0 i3 i1\n")
    again = Interactions(other, user_minimum=1, item_minimum=1)
    again.load()
    again.adopt(data.fitted())
    batch = again.batch(again.splits["leave-one-out"].test)
    ids = {name: number for number, name in enumerate(data.sequences.names, 1)}
    assert batch["item_seq"][0, :3].tolist() == [ids["i5"], ids["i0"], ids["i3"]]
    assert (int(batch["target"]), int(batch["items"])) == (ids["i1"], 11)
    other.write_text("new i5 i0 strange i1\n")
    again.load()
    with pytest.raises(ValueError, match=r"The item 'strange' is none of the 11"):
        again.adopt(data.fitted())


def test_what_is_kept_changes_nothing_for_the_same_file(file):
    """Adopting one's own numbers leaves every batch as it was."""
    data = Interactions(file, user_minimum=1, item_minimum=1)
    data.load()
    before = data.batch(torch.arange(len(data)))
    data.adopt(data.fitted())
    after = data.batch(torch.arange(len(data)))
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("option", ["user_minimum", "item_minimum", "max_length"])
def test_minimums_are_at_least_one(option):
    """A minimum or a length below 1 is refused when the component is made."""
    with pytest.raises(ValueError, match=f"{option} = 0 must be at least 1"):
        Interactions(**{option: 0})


def test_columns_are_different():
    """One column can't mean two things."""
    with pytest.raises(ValueError, match="must be different columns"):
        Interactions(user="id", item="id")


def test_lists_have_no_ratings(file):
    """A minimum rating needs a table with ratings."""
    with pytest.raises(ValueError, match=r"leave data\.minimum_rating out"):
        Interactions(file, minimum_rating=3).load()


def test_before_loading(file):
    """Nothing can be asked for before load."""
    with pytest.raises(ValueError, match=r"call load\(\) first"):
        len(Interactions(file))
