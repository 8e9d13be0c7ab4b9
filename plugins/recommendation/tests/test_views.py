"""Crop, mask and reorder: the golden cases, the plain loop, and what is drawn."""

from __future__ import annotations

import math

import pytest
import torch

from contrast_recommendation.views import (
    CROP,
    MASK,
    NOTHING,
    REORDER,
    Draw,
    Ratios,
    SequenceAugmentation,
    augment,
    draw,
    two_operations,
)


def test_golden_augmentations(golden):
    """Given operation, start and order, the sequences are those of the authors' code."""
    for case in golden("sequence_augmentation"):
        params = case["meta"]["params"]
        ratios = Ratios(params["crop_ratio"], params["mask_ratio"], params["reorder_ratio"])
        for view in (0, 1):
            drawn = Draw(case["in_op"][view], case["in_begin"][view], case["in_index"][view])
            items, length = augment(case["in_item_seq"], case["in_item_seq_len"], drawn, ratios)
            assert torch.equal(items, case[f"out_aug{view + 1}"])
            assert torch.equal(length, case[f"out_aug_len{view + 1}"])


@pytest.mark.parametrize("ratios", [Ratios(), Ratios(0.9, 0.9, 1.0), Ratios(0.0, 0.0, 0.0)])
def test_augmentation_is_the_plain_loop(sequences, ratios):
    """Row by row, with Python's own rounding, whatever was drawn."""
    torch.manual_seed(0)
    batch = sequences(60, 10)
    operation = torch.arange(60) // 10 % 4
    drawn = draw(batch["length"], 10, operation, ratios)
    items, length = augment(batch["item_seq"], batch["length"], drawn, ratios)
    for row in range(60):
        n, old = int(batch["length"][row]), batch["item_seq"][row].tolist()
        begin, index = int(drawn.begin[row]), drawn.index[row].tolist()
        new = list(old)
        if operation[row] == CROP:
            kept = max(1, math.floor(n * (1 - ratios.crop)))
            assert 0 <= begin <= n - kept
            new = old[begin : begin + kept] + [0] * (10 - kept)
            assert int(length[row]) == kept
        else:
            assert int(length[row]) == n
        if operation[row] == MASK:
            hidden = index[: math.floor(n * ratios.mask)]
            assert len(set(hidden)) == len(hidden)
            assert all(place < n for place in hidden)
            new = [0 if place in hidden else item for place, item in enumerate(old)]
        if operation[row] == REORDER:
            moved = math.floor(n * ratios.reorder)
            assert 0 <= begin <= n - moved
            assert sorted(index[:moved]) == list(range(moved))
            for place in range(moved):
                new[begin + place] = old[begin + index[place]]
        assert items[row].tolist() == new


def test_two_operations_differ_and_are_equally_likely():
    """Without replacement, each of the six orders as often as another; none for a single item."""
    torch.manual_seed(0)
    length = torch.full((6000,), 5)
    length[:10] = 1
    one, two = two_operations(length, (CROP, MASK, REORDER))
    assert bool((torch.stack([one, two])[:, :10] == NOTHING).all())
    pairs, counts = torch.stack([one[10:], two[10:]]).unique(dim=1, return_counts=True)
    assert pairs.shape[1] == 6
    assert bool((pairs[0] != pairs[1]).all())
    # Five standard deviations of a count with probability 1/6.
    assert bool(((counts - 5990 / 6).abs() < 5 * math.sqrt(5990 * 5 / 36)).all())


def test_every_start_masked_place_and_order_is_drawn():
    """What is uniform reaches all its values, the first and the last included."""
    torch.manual_seed(0)
    length, ratios = torch.full((4000,), 6), Ratios()
    assert draw(length, 8, torch.full((4000,), CROP), ratios).begin.unique().tolist() == [0, 1, 2, 3]
    assert draw(length, 8, torch.full((4000,), REORDER), ratios).begin.unique().tolist() == [0, 1, 2]
    masked = draw(length, 8, torch.full((4000,), MASK), ratios).index[:, :3].sort(1).values
    assert len(masked.unique(dim=0)) == math.comb(6, 3)
    assert len(draw(length, 8, torch.full((4000,), REORDER), ratios).index[:, :4].unique(dim=0)) == math.factorial(4)


def test_view_draws_anew_while_training_and_nothing_in_evaluation(sequences):
    """Two calls differ in training; in evaluation, and without operations, both views are the very sequences."""
    torch.manual_seed(0)
    batch, view = sequences(30), SequenceAugmentation()
    first, second = view(batch), view(batch)
    assert set(first) == set(view.gives)
    assert not torch.equal(first["item_seq_one"], second["item_seq_one"])
    assert not torch.equal(first["item_seq_one"], first["item_seq_two"])
    for same in (view.eval(), SequenceAugmentation(operations=())):
        found = same(batch)
        assert found["item_seq_one"] is found["item_seq_two"] is batch["item_seq"]
        assert found["length_one"] is found["length_two"] is batch["length"]


def test_only_the_named_operations_are_drawn(sequences):
    """Without reorder and mask nothing but crop would be left, and with two the third never comes."""
    torch.manual_seed(0)
    batch = sequences(200)
    view = SequenceAugmentation(operations=("mask", "reorder"))
    for _ in range(5):
        found = view(batch)
        assert torch.equal(found["length_one"], batch["length"])
        assert torch.equal(found["length_two"], batch["length"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"crop": 1.0}, "crop and mask lie in"),
        ({"mask": -0.1}, "crop and mask lie in"),
        ({"reorder": 1.1}, "crop and mask lie in"),
        ({"operations": ("crop",)}, "two or three different ones"),
        ({"operations": ("crop", "crop")}, "two or three different ones"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    """One sentence says what would be right."""
    with pytest.raises(ValueError, match=words):
        SequenceAugmentation(**settings)
