"""Rehearsal stores: what they keep, against the authors' choice, plain loops and the laws of sampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from contrast_core.continual.herding import Herding
from contrast_core.continual.random import RandomRehearsal
from contrast_core.continual.reservoir import Reservoir
from contrast_core.embeddings import Embeddings
from contrast_core.tasks import Rehearsal

GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("herding-*.npz"))


def offered(items: torch.Tensor, labels: torch.Tensor, store: Rehearsal, z: torch.Tensor | None = None) -> Embeddings:
    """What a run offers: kept items first, then the new ones. `labels` and `z` are those of all items."""
    kept = store.kept()
    every = torch.cat([kept, items[~torch.isin(items, kept)]])
    rows = (torch.arange(len(labels), dtype=torch.float64)[:, None] + 1 if z is None else z)[every]
    old = (torch.arange(len(every)) < len(kept)).long()
    return Embeddings.of(rows, sample=every, label=labels[every], kept=old)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize(("rule", "name"), [("barycenter", "barycenter"), ("nearest", "cluster")])
def test_herding_chooses_what_the_authors_code_chooses(path: Path, rule: str, name: str) -> None:
    """umbertocappellazzo/SLURP_CL_example, classes in ascending order, items in the order of choice."""
    case = np.load(path, allow_pickle=True)
    z, labels = torch.from_numpy(case["in_features"]), torch.from_numpy(case["in_labels"])
    expected = case[f"out_herd_closest_to_{name}"].tolist()
    store = Herding(per_class=len(expected) // len(labels.unique()), rule=rule)  # type: ignore[arg-type]
    store.begin(len(labels), len(labels.unique()), len(labels))
    store.take(offered(torch.arange(len(labels)), labels, store, z))
    assert len(GOLDEN) == 2
    assert store.kept().tolist() == expected


@pytest.mark.parametrize("store", [Herding(total=12), RandomRehearsal(total=12)], ids=["herding", "random"])
def test_a_total_is_shared_by_the_classes_seen_so_far(store: Rehearsal) -> None:
    """Shares shrink as classes come; what stays is the first of what was chosen before."""
    labels, z = torch.arange(60) % 6, torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    store.begin(60, 6, 60)
    every, before = torch.arange(60), torch.empty(0)
    for classes in (2, 4, 6):
        store.take(offered(every[(labels < classes) & (labels >= classes - 2)], labels, store, z))
        kept = store.kept()
        assert [int((labels[kept] == label).sum()) for label in range(classes)] == [12 // classes] * classes
        assert torch.isin(kept[labels[kept] < classes - 2], before).all()
        before = kept


def test_a_share_is_of_the_training_items_and_of_all_classes() -> None:
    """floor(0.1 * 99) // 4 of each class, from the first task on."""
    labels = torch.arange(120) % 4
    store = RandomRehearsal(share=0.1)
    store.begin(120, 4, 99)
    assert len(store.items) == 8
    store.take(offered(torch.arange(40)[labels[:40] < 2], labels, store))
    assert labels[store.kept()].bincount().tolist() == [2, 2]
    with pytest.raises(ValueError, match=r"share = 0\.01 of 99 training items is less than one item of each of the 4"):
        Herding(share=0.01).begin(120, 4, 99)
    with pytest.raises(ValueError, match="must be at most 1"):
        Herding(share=1.5)


def test_a_class_that_comes_back_keeps_its_number() -> None:
    """Old and new items of it are chosen from together."""
    labels = torch.zeros(40, dtype=torch.long)
    store = RandomRehearsal(per_class=10, seed=3)
    store.begin(40, 1, 40)
    store.take(offered(torch.arange(20), labels, store))
    first = store.kept()
    store.take(offered(torch.arange(20, 40), labels, store))
    second = store.kept()
    assert len(first) == len(second) == 10
    assert 0 < int((second < 20).sum()) < 10
    assert torch.isin(second[second < 20], first).all()
    whole = RandomRehearsal(per_class=10, seed=3)
    whole.begin(40, 1, 40)
    whole.take(offered(torch.arange(40), labels, whole))
    assert whole.kept().tolist() == second.tolist()


@pytest.mark.parametrize("kind", ["random", "reservoir"])
def test_every_item_is_kept_equally_often(kind: str) -> None:
    """Over many seeds, items of the first and of the last task alike: 5 of 30, within four deviations."""
    counts, draws, labels = torch.zeros(30), 600, torch.zeros(30, dtype=torch.long)
    for seed in range(draws):
        store = RandomRehearsal(total=5, seed=seed) if kind == "random" else Reservoir(5, seed=seed)
        store.begin(30, 1, 30)
        for items in torch.arange(30).split([10, 15, 5]):
            store.take(offered(items, labels, store))
        assert len(store.kept()) == 5
        counts[store.kept()] += 1
    share = 5 / 30
    assert ((counts / draws - share).abs() < 4 * (share * (1 - share) / draws) ** 0.5).all()


def test_a_reservoir_is_algorithm_r() -> None:
    """A plain loop over the same order with the same draws; the count of the stream goes on over tasks."""
    store, places, seen = Reservoir(4, seed=2), list[int](), 0
    store.begin(25, 1, 25)
    for items in torch.arange(25).split([3, 12, 10]):
        generator = torch.Generator().manual_seed(2 * 1_000_003 + seen)
        for item in items[torch.randperm(len(items), generator=generator)].tolist():
            seen += 1
            if len(places) < 4:
                places.append(item)
            elif (place := int(torch.randint(seen, (), generator=generator))) < 4:
                places[place] = item
        store.take(offered(items, torch.zeros(25, dtype=torch.long), store))
        assert store.kept().tolist() == places
    assert int(store.seen) == 25


def test_stores_refuse_numbers_that_make_no_sense() -> None:
    """In one sentence each."""
    with pytest.raises(ValueError, match="one of per_class, total and share"):
        Herding()
    with pytest.raises(ValueError, match="one of per_class, total and share"):
        RandomRehearsal(per_class=1, total=1)
    with pytest.raises(ValueError, match="in_batch = -1 must be at least 0"):
        Reservoir(3, in_batch=-1)
    with pytest.raises(ValueError, match="total = -3"):
        Reservoir(-3)
    store = Herding(total=1)
    store.begin(4, 2, 4)
    with pytest.raises(ValueError, match="less than one item of each of the 2 classes"):
        store.take(offered(torch.arange(4), torch.arange(4) % 2, store))
    rows = offered(torch.arange(4), torch.zeros(4, dtype=torch.long), store, torch.full((4, 2), float("nan")))
    with pytest.raises(ValueError, match="NaN or infinite"):
        store.take(rows)


def test_nothing_is_kept_of_nothing() -> None:
    """A budget of 0 and more budget than items."""
    labels = torch.arange(6) % 2
    for store, count in ((Herding(per_class=0), 0), (Reservoir(0), 0), (Herding(per_class=9), 6), (Reservoir(9), 6)):
        store.begin(6, 2, 6)
        store.take(offered(torch.arange(6), labels, store))
        assert len(store.kept()) == count
