"""DyCE: what it remembers, how it parts that, and what it finds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_fewshot.memory import DyCE
from contrast_fewshot.partitions import means, nearest_within
from contrast_fewshot.published import PublishedDyCE


def rows(n: int, d: int = 4, seed: int = 0) -> torch.Tensor:
    """Random rows."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def full(prototypes: int = 4, size: int = 24) -> DyCE:
    """A memory that has been filled and clustered."""
    memory = DyCE(size=size, dimension=4, prototypes=prototypes)
    for step in range(4):
        memory.write(Embeddings.of(rows(8, seed=step), sample=torch.arange(8) + 8 * step))
    return memory


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 30), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_nearest_within_is_a_search_row_by_row(n, m, parts, k, seed):
    """Against loops: the partition's rows by similarity, or the whole bank's where these are too few."""
    k = min(k, m)
    queries, bank = rows(n, seed=seed), rows(m, seed=seed + 100)
    generator = torch.Generator().manual_seed(seed)
    partition = torch.randint(parts, (m,), generator=generator)
    wanted = torch.randint(parts, (n,), generator=generator)
    found = nearest_within(queries, wanted, bank, partition, k)
    for i in range(n):
        members = [j for j in range(m) if int(partition[j]) == int(wanted[i])]
        members = members if len(members) >= k else list(range(m))
        expected = sorted(members, key=lambda j: -float(queries[i] @ bank[j]))[:k]
        torch.testing.assert_close(bank[found[i]] @ queries[i], bank[expected] @ queries[i])
        assert set(found[i].tolist()) <= set(members)


def test_means_are_by_partition_and_empty_ones_stay():
    """The second of three partitions is empty."""
    bank, partition = rows(5), torch.tensor([0, 2, 0, 2, 2])
    before = torch.full((3, 4), 7.0)
    found = means(bank, partition, before)
    torch.testing.assert_close(found[0], (bank[0] + bank[2]) / 2)
    torch.testing.assert_close(found[1], before[1])
    torch.testing.assert_close(found[2], (bank[1] + bank[3] + bank[4]) / 3)


def test_the_latest_rows_stay_in_unit_length():
    """24 of 32 rows; the oldest eight are gone."""
    memory = full()
    found = memory.read()
    assert sorted(found["sample"].tolist()) == list(range(8, 32))
    torch.testing.assert_close(found.z.norm(dim=1), torch.ones(24))
    expected = functional.normalize(torch.cat([rows(8, seed=step) for step in range(1, 4)]), dim=1)
    torch.testing.assert_close(found.z[found["sample"].argsort()], expected)


def test_partitions_begin_when_the_memory_is_full():
    """Before, rows have none and the whole memory is searched."""
    memory = DyCE(size=24, dimension=4, prototypes=4)
    memory.write(Embeddings.of(rows(8)))
    assert memory.read()["partition"].tolist() == [-1] * 8
    expected = (functional.normalize(rows(3, seed=9), dim=1) @ memory.read().z.T).topk(2).indices
    assert torch.equal(memory.nearest(rows(3, seed=9), 2), expected)
    for step in range(2):
        memory.write(Embeddings.of(rows(8, seed=step)))
    assert bool(memory.clustered)
    assert set(memory.read()["partition"].tolist()) <= set(range(4))


def test_a_batch_does_not_go_to_one_partition():
    """Eight rows that all resemble one prototype most are spread over others too."""
    memory = full()
    near = memory.centres[0] + 0.01 * rows(8, seed=5)
    assert len((near @ functional.normalize(memory.centres, dim=1).T).argmax(1).unique()) == 1
    memory.write(Embeddings.of(near))
    last = (int(memory.pointer) - 8 + torch.arange(8)) % 24
    assert torch.bincount(memory.partition[last]).max() <= 4


def test_prototypes_are_the_means_of_their_rows():
    """Without momentum."""
    memory = full()
    memory.write(Embeddings.of(rows(8, seed=7)))
    for k in range(4):
        members = memory.rows[memory.partition == k]
        if len(members):
            torch.testing.assert_close(memory.centres[k], members.mean(0))


def test_neighbours_come_from_the_nearest_partition():
    """If it has enough rows."""
    memory = full()
    queries = rows(6, seed=11)
    nearest = (queries @ functional.normalize(memory.centres, dim=1).T).argmax(1)
    for query, own in zip(memory.nearest(queries, 2), nearest, strict=True):
        if int((memory.partition == own).sum()) >= 2:
            assert (memory.partition[query] == own).all()


@pytest.mark.parametrize(
    ("kind", "wrong", "word"),
    [
        (DyCE, {"prototypes": 99999}, "prototypes"),
        (DyCE, {"momentum": 1.0}, "momentum"),
        (DyCE, {"epsilon": 0.0}, "epsilon"),
        (PublishedDyCE, {"prototypes": 0}, "prototypes"),
        (PublishedDyCE, {"iterations": 0}, "iterations"),
    ],
)
def test_numbers_out_of_range_are_refused(kind, wrong, word):
    """The sentence names the number."""
    with pytest.raises(ValueError, match=word):
        kind(**wrong)


def test_a_memory_with_too_few_rows_says_so():
    """Three of two."""
    memory = DyCE(size=8, dimension=4, prototypes=0)
    memory.write(Embeddings.of(rows(2)))
    with pytest.raises(ValueError, match="only 2 rows"):
        memory.nearest(rows(1), 3)
    assert not memory.ready(3)


def test_a_batch_larger_than_the_published_memory_is_refused():
    """Theirs would write past its end."""
    with pytest.raises(ValueError, match="enlarge its size"):
        PublishedDyCE(size=9, dimension=4, prototypes=2).write(Embeddings.of(rows(9)))


def test_a_published_memory_of_an_encoder_that_diverged_says_so():
    """Their loop, which raises epsilon until nothing is NaN, would not end."""
    memory = PublishedDyCE(size=9, dimension=4, prototypes=2)
    for seed in range(3):
        memory.write(Embeddings.of(rows(4, seed=seed)))
    with pytest.raises(ValueError, match="the embedding has diverged"):
        memory.write(Embeddings.of(rows(4) * float("nan")))
