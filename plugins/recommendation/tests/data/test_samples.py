"""From sequences to samples: prefixes, leave one out, histories and targets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from contrast_recommendation.data.component import Interactions
from contrast_recommendation.data.samples import leave_one_out
from contrast_recommendation.data.sequences import Sequences

GOLDEN = Path(__file__).parents[1] / "golden"


def of(*sequences: list[int]) -> Sequences:
    """Sequences of ids, users and items named by their numbers."""
    starts = np.cumsum([0, *map(len, sequences)])
    items = np.concatenate(sequences).astype(np.int64)
    return Sequences(items, starts, [str(u) for u in range(len(sequences))], [str(i + 1) for i in range(items.max())])


@pytest.mark.parametrize("case", ["leave_one_out-1", "leave_one_out-2"])
def test_the_samples_are_those_of_the_authors(case, tmp_path):
    """Histories, lengths and targets of train, valid and test, read from a table, as the authors' loader makes them."""
    with np.load(GOLDEN / f"{case}.npz") as file:
        golden = {name: file[name] for name in file.files}
    length = json.loads(str(golden["meta"]))["params"]["max_len"]
    rows = zip(golden["in_user"], golden["in_item"], range(len(golden["in_user"])), strict=True)
    table = tmp_path / "log.csv"
    table.write_text("user_id,item_id,timestamp\n" + "\n".join(f"{u},{i},{t}" for u, i, t in rows))
    data = Interactions(table, user_minimum=1, item_minimum=1, max_length=length)
    data.load()
    # Items are numbered by first appearance; the golden case keeps the original numbers.
    name = np.array([0, *map(int, data.sequences.names)])
    split = data.splits["leave-one-out"]
    for part, samples in (("train", split.train), ("valid", split.val), ("test", split.test)):
        batch = data.batch(samples)
        assert (name[batch["item_seq"]] == golden[f"out_{part}_seq"]).all()
        assert (batch["length"].numpy() == golden[f"out_{part}_len"]).all()
        assert (name[batch["target"]] == golden[f"out_{part}_target"]).all()
        assert [int(data.names[s]) for s in samples.tolist()] == golden[f"out_{part}_user"].tolist()


def test_histories_against_a_loop():
    """Every sample's history, cut to the maximum, and everything seen before it, by plain slicing."""
    generator = np.random.default_rng(0)
    sequences = [generator.integers(1, 9, size).tolist() for size in (3, 1, 7, 2, 12)]
    samples = leave_one_out(of(*sequences), max_length=4)
    expected = [(s, k) for s in sequences for k in range(1, len(s) - 2 if len(s) >= 3 else len(s))]
    expected += [(s, len(s) - 2) for s in sequences if len(s) >= 3] + [
        (s, len(s) - 1) for s in sequences if len(s) >= 3
    ]
    assert len(samples.stop) == len(expected)
    history, length = samples.histories(torch.arange(len(expected)))
    targets = samples.targets(torch.arange(len(expected))).tolist()
    rows, seen = samples.seen(torch.arange(len(expected)))
    for number, (sequence, k) in enumerate(expected):
        latest = sequence[max(0, k - 4) : k]
        assert history[number].tolist() == latest + [0] * (4 - len(latest))
        assert length[number] == len(latest)
        assert targets[number] == sequence[k]
        assert seen[rows == number].tolist() == sequence[:k]


def test_a_user_with_too_few_interactions_only_trains():
    """Two interactions give one training sample, one gives none; neither user is evaluated."""
    samples = leave_one_out(of([1, 2], [3], [1, 2, 3, 4]), max_length=5)
    assert samples.user[samples.train].tolist() == [0, 2]
    assert samples.user[samples.validation].tolist() == samples.user[samples.test].tolist() == [2]


def test_nothing_to_evaluate_or_to_train_on():
    """Sequences that are all too short are refused, each time with the reason."""
    with pytest.raises(ValueError, match="No user has 3 interactions or more"):
        leave_one_out(of([1, 2], [3]), max_length=5)
    with pytest.raises(ValueError, match="nothing to train on"):
        leave_one_out(of([1, 2, 3], [3]), max_length=5)
