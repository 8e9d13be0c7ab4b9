"""From a log to sequences: filters, order, numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from contrast_recommendation.data.log import Log
from contrast_recommendation.data.sequences import sequences


def log(rows, times=True, ratings=False) -> Log:
    """A log of (user, item, time or rating) rows."""
    users, items, numbers = zip(*rows, strict=True)
    numbers = np.array(numbers, dtype=np.float64)
    return Log("log.csv", users, items, numbers if times else None, numbers if ratings else None)


def as_names(found) -> dict[str, list[str]]:
    """Each user's items by name."""
    return {
        user: [found.names[i - 1] for i in found.items[found.starts[u] : found.starts[u + 1]]]
        for u, user in enumerate(found.users)
    }


def test_time_orders_and_equal_times_keep_the_order_of_the_file():
    """Rows are sorted by time within a user; users and items are numbered as the file first has them."""
    found = sequences(log([("b", "x", 5), ("a", "y", 2), ("b", "z", 1), ("a", "x", 2), ("a", "w", 1)]))
    assert as_names(found) == {"b": ["z", "x"], "a": ["w", "y", "x"]}
    assert list(found.users) == ["b", "a"]
    assert list(found.names) == ["x", "y", "z", "w"]


def test_without_times_the_file_is_the_order():
    """A log without times keeps the order of its rows."""
    found = sequences(log([("a", "y", 0), ("b", "x", 0), ("a", "x", 0)], times=False))
    assert as_names(found) == {"a": ["y", "x"], "b": ["x"]}


def test_the_core_against_a_loop():
    """Users and items with too few interactions are left out until none is: as removing one at a time does."""
    generator = np.random.default_rng(3)
    rows = [(f"u{u}", f"i{i}", t) for t, (u, i) in enumerate(generator.zipf(1.5, (400, 2)).clip(max=40))]
    found = sequences(log(rows), user_minimum=4, item_minimum=3)
    left = list(rows)
    while True:
        users, items = Counter(u for u, _, _ in left), Counter(i for _, i, _ in left)
        wrong = next((row for row in left if users[row[0]] < 4 or items[row[1]] < 3), None)
        if wrong is None:
            break
        left.remove(wrong)
    assert 0 < len(left) < 400
    expected: dict[str, list[str]] = {}
    for user, item, _ in left:
        expected.setdefault(user, []).append(item)
    assert as_names(found) == expected
    assert f"{400 - len(left)} interactions of users with fewer than 4" in found.notes


def test_low_ratings_do_not_count():
    """Interactions rated below the minimum are out before anything is counted."""
    rows = [("a", "x", 5), ("a", "y", 2), ("a", "z", 4), ("b", "x", 1)]
    found = sequences(log(rows, times=False, ratings=True), minimum_rating=4)
    assert as_names(found) == {"a": ["x", "z"]}
    assert "2 interactions rated below 4" in found.notes


def test_when_nothing_is_left():
    """Filters that leave nothing are named."""
    with pytest.raises(ValueError, match=r"Of the 1 interactions of log\.csv none is left with at least 2 a user"):
        sequences(log([("a", "x", 1)]), user_minimum=2)


def test_ids_of_another_file():
    """Items get the ids of the codes given; one that has none is named, and how many more."""
    found = sequences(log([("a", "x", 1), ("a", "y", 2), ("a", "x", 3)]))
    other = found.renumbered(np.array([70, 20, 90]), np.array([90, 70]))
    assert other.items.tolist() == [3, 1, 3]
    assert list(other.names) == ["y", "", "x"]
    with pytest.raises(ValueError, match=r"The item 'x' is none of the 2 .* and 1 more are not"):
        found.renumbered(np.array([1, 2]), np.array([90, 70]))
