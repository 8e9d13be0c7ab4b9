"""Tasks made of classes, the batches in them, and scores over them."""

from __future__ import annotations

import math

import pytest
import torch

from contrast_core.continual.class_tasks import ClassTasks
from contrast_core.continual.given_tasks import GivenTasks
from contrast_core.continual.over_tasks import over_tasks, summary
from contrast_core.continual.reservoir import Reservoir
from contrast_core.data.digits import Digits
from contrast_core.figures import Lines, Matrix
from contrast_core.interfaces import Score
from contrast_core.training.borders import among
from contrast_core.training.legs import InTask


@pytest.fixture(scope="module")
def digits() -> Digits:
    """Digits, loaded."""
    data = Digits()
    data.load()
    return data


@pytest.mark.parametrize("sizes", [[2, 2, 2, 2, 2], [4, 2, 2, 2], [9, 1]])
def test_tasks_share_the_training_items_out(digits: Digits, sizes: list[int]) -> None:
    """Each item of the train part is in one task, with its class; test items are in none."""
    tasks = ClassTasks(sizes, seed=4).of(digits)
    items = torch.cat([task.items for task in tasks])
    assert items.sort().values.tolist() == digits.splits["all"].train.sort().values.tolist()
    assert [len(digits.labels[task.items].unique()) for task in tasks if digits.labels is not None] == sizes
    for task in tasks:
        assert digits.labels is not None
        assert set(digits.labels[task.items].tolist()) == set(digits.labels[task.members].tolist())
    assert [task.name for task in tasks] == [task.name for task in ClassTasks(sizes, seed=4).of(digits)]
    assert [task.name for task in tasks] != [task.name for task in ClassTasks(sizes, seed=5).of(digits)]
    assert ClassTasks(sizes, order="sorted").of(digits)[0].name.startswith("0, 1")


def test_a_class_that_comes_back_is_dealt_out(digits: Digits) -> None:
    """Its items are in one of its tasks each, in about equal numbers; its test items belong to both."""
    first, second = ClassTasks(named=[["0", "1"], ["1", "2"]]).of(digits)
    assert not torch.isin(first.items, second.items).any()
    assert digits.labels is not None
    ones = [int((digits.labels[task.items] == 1).sum()) for task in (first, second)]
    assert abs(ones[0] - ones[1]) <= 1
    assert sum(ones) == int((digits.labels[digits.splits["all"].train] == 1).sum())
    assert int((digits.labels[first.members] == 1).sum()) == int((digits.labels[second.members] == 1).sum())


def test_tasks_that_can_not_be_made_are_refused(digits: Digits) -> None:
    """In one sentence each."""
    with pytest.raises(ValueError, match=r"sizes = .* or named"):
        ClassTasks()
    with pytest.raises(ValueError, match="at least one class"):
        ClassTasks([2, 0])
    with pytest.raises(ValueError, match="add up to 9, but there are 10 classes"):
        ClassTasks([4, 5]).of(digits)
    with pytest.raises(ValueError, match="no class 'one'"):
        ClassTasks(named=[["0"], ["one"]]).of(digits)
    with pytest.raises(ValueError, match="bring no tasks of their own"):
        GivenTasks().of(digits)


def test_kept_items_join_every_batch_and_are_marked(digits: Digits) -> None:
    """So many of them as is stated, none twice; the new ones come once each in an epoch."""
    tasks, store = ClassTasks([2, 8]).of(digits), Reservoir(20, in_batch=8)
    store.begin(len(digits), 10, len(digits))
    store.items.copy_(tasks[0].items[:20])
    inside = InTask(digits, tasks, 1, store)
    batches = inside.drawn(64, torch.Generator().manual_seed(1))
    fresh = []
    for items in batches:
        batch = inside.batch(items)
        again = items[batch["rehearsal"] == 1]
        assert len(again) == len(again.unique()) == 8
        assert torch.isin(again, tasks[0].items[:20]).all()
        assert batch["task"] == 1
        fresh.append(items[batch["rehearsal"] == 0])
    assert torch.cat(fresh).sort().values.tolist() == tasks[1].items.tolist()
    assert inside.told(inside.batch(batches[0])) == "task 2/2"
    assert len(batches) == len(InTask(digits, tasks, 1).drawn(64, torch.Generator()))


def test_kept_items_may_come_once_an_epoch(digits: Digits) -> None:
    """Each of them and each new item once; as many batches as without them, about equally large."""
    tasks, store = ClassTasks([2, 8]).of(digits), Reservoir(100, in_batch="once")
    store.begin(len(digits), 10, len(digits))
    inside = InTask(digits, tasks, 1, store)
    before = len(inside.drawn(64, torch.Generator()))
    store.items.copy_(tasks[0].items[:100])
    batches = inside.drawn(64, torch.Generator().manual_seed(1))
    assert len(batches) == before
    assert max(map(len, batches)) - min(map(len, batches)) <= 1
    every = torch.cat([tasks[1].items, tasks[0].items[:100]]).sort().values
    assert torch.cat(list(batches)).sort().values.tolist() == every.tolist()


def test_a_batch_says_how_much_of_what_was_learned_is_past(digits: Digits) -> None:
    """Classes of earlier tasks over all so far; one that comes back is past."""
    tasks = ClassTasks(named=[["0", "1"], ["2", "3", "0"], ["4"]]).of(digits)
    found = [InTask(digits, tasks, number).batch(tasks[number].items[:2])["past_share"] for number in range(3)]
    assert [float(share) for share in found] == pytest.approx([0, 2 / 4, 4 / 5])


class Commands(Digits):
    """Digits under names of two parts."""

    @property
    def classes(self) -> list[str]:
        """Even and odd numbers, and zero."""
        return [f"{'zero' if digit == 0 else ('even', 'odd')[digit % 2]}_{digit}" for digit in range(10)]


def test_groups_of_classes_stay_together() -> None:
    """Sizes count groups, which are ordered as their first classes are or drawn."""
    data = Commands()
    data.load()
    tasks = ClassTasks([2, 1], order="sorted", grouped="_").of(data)
    assert [task.name for task in tasks] == [
        "zero_0, odd_1, odd_3, odd_5, odd_7, odd_9", "even_2, even_4, even_6, even_8"
    ]  # fmt: skip
    drawn = {ClassTasks([1, 2], seed=seed, grouped="_").of(data)[0].name for seed in range(20)}
    assert len(drawn) == 3
    with pytest.raises(ValueError, match=r"add up to 10, but there are 3 groups of classes \(zero, odd, even\)"):
        ClassTasks([10], grouped="_").of(data)
    with pytest.raises(ValueError, match="grouped goes with sizes"):
        ClassTasks(named=[["0"], ["1"]], grouped="_")


def test_an_evaluator_sees_the_classes_so_far(digits: Digits) -> None:
    """Labels of others are unknown, splits hold no row of them, tests only the wanted ones; the class is the same."""
    tasks = ClassTasks([2, 2, 6]).of(digits)
    seen = torch.cat([task.members for task in tasks[:2]])
    data = among(digits, seen, tasks[0].members)
    assert isinstance(data, Digits)
    split, whole = data.splits["all"], digits.splits["all"]
    assert torch.isin(split.train, seen).all()
    assert len(split.train) == len(tasks[0].items) + len(tasks[1].items)
    assert torch.isin(split.test, tasks[0].members).all()
    assert len(split.test) == int(torch.isin(whole.test, tasks[0].members).sum())
    assert data.labels is not None
    assert (data.labels >= 0).nonzero()[:, 0].tolist() == seen.sort().values.tolist()
    assert digits.labels is not None
    assert (digits.labels >= 0).all()


def test_scores_over_tasks_against_loops() -> None:
    """The definitions, written out; forgetting looks back to the best time, also if an old task gained."""
    generator = torch.Generator().manual_seed(3)
    for count in (2, 3, 6):
        matrix = torch.rand(count, count, generator=generator, dtype=torch.float64)
        matrix = torch.where(torch.ones(count, count).tril() == 1, matrix, float("nan"))
        seen = torch.rand(count, generator=generator, dtype=torch.float64)
        a = matrix.tolist()
        lost = [max(a[n][k] for n in range(k, count - 1)) - a[count - 1][k] for k in range(count - 1)]
        moved = [a[count - 1][k] - a[k][k] for k in range(count - 1)]
        found = summary(matrix, seen)
        assert found["Average"] == pytest.approx(sum(seen.tolist()) / count)
        assert found["Last"] == seen[-1].item()
        assert found["Forgetting"] == pytest.approx(sum(lost) / (count - 1))
        assert found["Backward transfer"] == pytest.approx(sum(moved) / (count - 1))
    assert summary(torch.ones(1, 1), torch.ones(1)) == {"Average": 1.0, "Last": 1.0}


def test_what_was_measured_becomes_scores_a_matrix_and_lines() -> None:
    """One of each metric; all lines in one picture."""
    one = {"evaluator": "knn", "metric": "Accuracy", "split": "all"}
    measured = [
        [{**one, "on": 0, "mean": 1.0}, {**one, "on": -1, "mean": 1.0}],
        [{**one, "on": 0, "mean": 0.5}, {**one, "on": 1, "mean": 0.9}, {**one, "on": -1, "mean": 0.7}],
    ]
    found = over_tasks(measured)
    scores = {each.metric: each.mean for each in found if isinstance(each, Score)}
    assert scores == pytest.approx({"Average": 0.85, "Last": 0.7, "Forgetting": 0.5, "Backward transfer": -0.5})
    (matrix,) = [each for each in found if isinstance(each, Matrix)]
    assert matrix.values[1].tolist() == [0.5, 0.9]
    assert math.isnan(matrix.values[0, 1])
    (lines,) = [each for each in found if isinstance(each, Lines)]
    assert lines.lines == {"knn/Accuracy": ([1.0, 2.0], [1.0, 0.7])}
    assert over_tasks([]) == []
