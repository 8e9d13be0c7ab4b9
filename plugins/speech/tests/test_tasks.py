"""Tasks: every item in one of them, the memory, the batches."""

from __future__ import annotations

import pytest
import torch

from contrast_speech.data.tasks import Tasks, drawn_classes

LABELS = torch.arange(5).repeat_interleave(20)
TRAIN = torch.arange(100)[torch.arange(100) % 20 < 12]


def made(kept: int = 3) -> Tasks:
    """Three tasks of five classes; class 0 comes back in the last."""
    return Tasks([[0, 1], [2, 3], [4, 0]], LABELS, TRAIN, kept, seed=0)


def test_classes_are_drawn_from_the_seed() -> None:
    """Every class once, in tasks of the wanted sizes."""
    found = drawn_classes(10, [4, 2, 2, 2], seed=1)
    assert [len(each) for each in found] == [4, 2, 2, 2]
    assert drawn_classes(3, [1, 2], seed=None) == [[0], [1, 2]]
    assert sorted(label for own in found for label in own) == list(range(10))
    assert found == drawn_classes(10, [4, 2, 2, 2], seed=1) != drawn_classes(10, [4, 2, 2, 2], seed=2)


@pytest.mark.parametrize("sizes", [[4, 2], [11], [10, 0], []])
def test_sizes_must_add_up(sizes: list[int]) -> None:
    """The sentence has the sizes."""
    with pytest.raises(ValueError, match="add up to the 10"):
        drawn_classes(10, sizes, seed=0)


def test_every_training_item_is_in_one_task() -> None:
    """A class that comes back is dealt out."""
    tasks = made()
    every = torch.cat([tasks.items(task) for task in range(3)])
    assert torch.equal(every.sort().values, TRAIN)
    assert [int((LABELS[tasks.items(task)] == 0).sum()) for task in range(3)] == [6, 0, 6]
    # Evaluation items of the class count where it came first.
    assert int(tasks.of_item[15]) == 0


def test_memory_holds_exemplars_of_earlier_tasks() -> None:
    """So many of each class, none of the present one, always the same."""
    tasks = made()
    assert len(tasks.memory(0)) == 0
    assert LABELS[tasks.memory(1)].bincount().tolist() == [3, 3]
    assert LABELS[tasks.memory(2)].bincount().tolist() == [3, 3, 3, 3]
    assert torch.equal(tasks.memory(1), made().memory(1))
    assert torch.isin(tasks.memory(2), TRAIN).all()


@pytest.mark.parametrize("rehearsal", [4, 0, "append"])
def test_batches_go_task_by_task(rehearsal: int | str) -> None:
    """Every batch has a new item; the memory joins; how many there are does not depend on the draw."""
    tasks = made()
    counts = set()
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        batches = tasks.batches(8, 2, rehearsal, generator)  # type: ignore[arg-type]
        counts.add(len(batches))
        latest = [int(tasks.of_item[batch].max()) for batch in batches]
        assert latest == sorted(latest)
        old = [int((tasks.of_item[batch] < task).sum()) for batch, task in zip(batches, latest, strict=True)]
        if rehearsal != "append":
            assert old == [rehearsal if task else 0 for task in latest]
        for batch, task in zip(batches, latest, strict=True):
            assert torch.isin(batch[tasks.of_item[batch] < task], tasks.memory(task)).all()
    assert len(counts) == 1


def test_a_class_without_training_items_is_refused() -> None:
    """It could not be learned."""
    with pytest.raises(ValueError, match="class 4 comes in 1"):
        Tasks([[4]], LABELS, TRAIN[TRAIN < 80], 1, seed=0)


def test_past_share_counts_classes_once() -> None:
    """Two of four; four of five, one of which comes back."""
    assert made().past_share(0) == 0
    assert made().past_share(1) == 0.5
    assert made().past_share(2) == 0.8
