# SPDX-License-Identifier: 0BSD
"""The miner against three nested loops."""

import pytest
import torch
from contrast_core import Embeddings, pairwise

from contrast_tabtriplet.miner import SemiHard

LABELS = torch.tensor([0, 1, 0, 2, 1, -1, 0, 2, 1, -1, 0])


def table(labels=LABELS, seed=0):
    z = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Embeddings.of(z, sample=torch.arange(len(labels)) + 40, label=labels)


def mined(miner, rows):
    """{(anchor, positive): negative or None}, as places in the table."""
    pairs = miner({"features": rows})["pairs"]
    positives, negatives = (pairwise.matrix(pairs, r)[1].bool() for r in (pairs.positives, pairs.negatives))
    found = {}
    for k in range(len(pairs.anchors)):
        (p,), n = positives[k].nonzero()[:, 0].tolist(), negatives[k].nonzero()[:, 0].tolist()
        assert len(n) <= 1
        found[int(pairs.anchors["sample"][k]) - 40, p] = n[0] if n else None
    assert len(found) == len(pairs.anchors)
    return found


def by_loops(rows, margin):
    """{(anchor, positive): all semi-hard negatives, the nearest first}."""
    unit = [row / row.norm() for row in rows.z]

    def apart(i, j):
        return float(((unit[i] - unit[j]) ** 2).sum())

    label, wanted = rows["label"].tolist(), {}
    for a in range(len(label)):
        for p in range(len(label)):
            if a == p or label[a] < 0 or label[a] != label[p]:
                continue
            near = []
            for n in range(len(label)):
                if label[n] >= 0 and label[n] != label[a] and apart(a, p) < apart(a, n) < apart(a, p) + margin:
                    near.append(n)
            wanted[a, p] = sorted(near, key=lambda n, a=a: apart(a, n))
    return wanted


@pytest.mark.parametrize("margin", [0.05, 0.5, 4.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_semi_hard_negative(margin, seed):
    rows = table(seed=seed)
    wanted = by_loops(rows, margin)
    assert len(wanted) == 4 * 3 + 3 * 2 + 2 * 1
    assert mined(SemiHard(margin=margin), rows) == {pair: (near or [None])[0] for pair, near in wanted.items()}


def test_a_random_one_is_any_of_them():
    rows, miner = table(), SemiHard(margin=1.0, pick="random")
    wanted, seen = by_loops(rows, 1.0), {}
    torch.manual_seed(0)
    for _ in range(60):
        for pair, negative in mined(miner, rows).items():
            seen.setdefault(pair, set()).add(negative)
    assert seen == {pair: set(near) or {None} for pair, near in wanted.items()}
    assert mined(miner.eval(), rows) == mined(SemiHard(margin=1.0), rows)


def test_it_does_not_matter_in_which_order_rows_come():
    rows, order = table(), torch.randperm(11, generator=torch.Generator().manual_seed(1))
    plain, shuffled = mined(SemiHard(margin=0.5), rows), by_sample(SemiHard(margin=0.5), rows.select(order))
    assert {(a + 40, p + 40, None if n is None else n + 40) for (a, p), n in plain.items()} == shuffled


def by_sample(miner, rows):
    pairs = miner({"features": rows})["pairs"]
    number = rows["sample"].tolist()
    both = [pairwise.matrix(pairs, r)[1].bool() for r in (pairs.positives, pairs.negatives)]
    triplets = set()
    for k, anchor in enumerate(pairs.anchors["sample"].tolist()):
        p, n = ([number[j] for j in weights[k].nonzero()[:, 0].tolist()] for weights in both)
        triplets.add((anchor, p[0], n[0] if n else None))
    return triplets


@pytest.mark.parametrize("labels", [[], [0], [0, 1, 2], [-1, -1, -1], [0, 0, -1]])
def test_where_there_is_no_triplet_there_is_none(labels):
    rows = table(torch.tensor(labels, dtype=torch.int64))
    pairs = SemiHard()({"features": rows})["pairs"]
    assert not pairwise.weight(pairs, pairs.negatives).any()


def test_rows_keep_their_gradient():
    z = torch.randn(6, 3, requires_grad=True)
    rows = Embeddings.of(z, sample=torch.arange(6), label=torch.tensor([0, 1, 0, 1, 0, 1]))
    pairs = SemiHard()({"features": rows})["pairs"]
    (pairs.anchors.z.sum() + pairs.candidates.z.sum()).backward()
    assert torch.equal(z.grad, torch.full((6, 3), 3.0))


@pytest.mark.parametrize("margin", [0, -1, 5])
def test_a_margin_out_of_range(margin):
    with pytest.raises(ValueError, match="margin"):
        SemiHard(margin=margin)
