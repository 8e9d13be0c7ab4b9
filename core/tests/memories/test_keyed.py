"""Memories with keys: the order of writing against plain loops, what is remembered, and going on from a saved state."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from contrast_core.embeddings import Embeddings, code
from contrast_core.memories.keyed import Keyed, KeyedQueues

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
BATCHES = st.lists(st.lists(st.integers(0, 4), max_size=9), max_size=5)
"""Up to five batches of up to nine rows, each with one of five keys."""


def batches(keys: Sequence[Sequence[int]], dimension: int = 3, column: str = "sample") -> list[Embeddings]:
    """Random float64 rows with these keys and a running number."""
    generator, made, count = torch.Generator().manual_seed(0), [], 0
    for each in keys:
        number = torch.arange(count, count + len(each))
        z = torch.randn(len(each), dimension, generator=generator, dtype=torch.float64)
        made.append(Embeddings.of(z, number=number, **{column: torch.tensor(each, dtype=torch.int64)}))
        count += len(each)
    return made


def ready(memory: Any, column: str = "sample") -> Any:
    """In float64, with room for further columns."""
    memory.prepare({"key": batches([[0]], column=column)[0]})
    return memory.double()


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
@settings(max_examples=40, deadline=None)
@given(BATCHES)
def test_rows_are_written_one_after_the_other(momentum: float, normalise: bool, keys: list[list[int]]) -> None:
    """Against a dictionary that is written row by row: the last row of a key wins, or is mixed in last."""
    memory = ready(Keyed("key", 5, 3, columns=["number"], momentum=momentum, normalise=normalise))
    rows: dict[int, tuple[Tensor, int]] = {}
    for table in batches(keys):
        memory.write(table)
        for k, z, number in zip(table["sample"].tolist(), table.z, table["number"].tolist(), strict=True):
            new = z / z.norm() if normalise else z
            if k in rows and momentum:
                new = momentum * rows[k][0] + (1 - momentum) * new
                new = new / new.norm() if normalise else new
            rows[k] = new, number
    found = memory.read()
    assert found["sample"].tolist() == sorted(rows)
    assert found["number"].tolist() == [rows[k][1] for k in sorted(rows)]
    for k, z in zip(sorted(rows), found.z, strict=True):
        torch.testing.assert_close(z, rows[k][0], rtol=1e-12, atol=1e-14)
    assert (found["source"] == code("memory")).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), BATCHES)
def test_each_key_has_a_queue_of_its_own(size: int, keys: list[list[int]]) -> None:
    """Against a deque for each key; batches may wrap round an end, and bring more rows of a key than it keeps."""
    memory = ready(KeyedQueues("key", "language", 5, size, 3, columns=["number"]), "language")
    queues: list[deque[int]] = [deque(maxlen=size) for _ in range(5)]
    count = [0] * 5
    every: list[Tensor] = []
    for table in batches(keys, column="language"):
        memory.write(table)
        every += list(normalize(table.z, dim=1))
        for k, number in zip(table["language"].tolist(), table["number"].tolist(), strict=True):
            queues[k].append(number)
            count[k] += 1
    found = memory.read()
    assert found["language"].tolist() == [k for k in range(5) for _ in queues[k]]
    for k in range(5):
        mine = found.select(found["language"] == k)
        assert sorted(mine["number"].tolist()) == list(queues[k])
    for z, number in zip(found.z, found["number"].tolist(), strict=True):
        torch.testing.assert_close(z, every[number], rtol=1e-12, atol=1e-14)
    assert memory.pointer.tolist() == [n % size for n in count]
    assert memory.filled.tolist() == [min(n, size) for n in count]


def test_a_queue_of_a_key_wraps() -> None:
    """Three places: the fourth row of key 1 goes to its place 0, key 0 keeps what it has."""
    memory = ready(KeyedQueues("key", "language", 2, 3, 3, columns=["number"]), "language")
    for table in batches([[1, 0, 1], [1, 1]], column="language"):
        memory.write(table)
    assert memory.read()["number"].tolist() == [1, 4, 2, 3]
    assert memory.pointer.tolist() == [1, 1]


def test_keys_may_be_names() -> None:
    """The column holds codes of names, and is given back as such."""
    memory = KeyedQueues("key", "language", ["de", "en"], size=2, dimension=3)
    language = torch.tensor([code("en"), code("de"), code("en"), code("en")])
    memory.write(Embeddings.of(torch.rand(4, 3), language=language, sample=torch.arange(4)))
    found = memory.read()
    assert found["language"].tolist() == [code("de"), code("en"), code("en")]
    assert found["sample"].tolist() == [1, 3, 2]
    with pytest.raises(ValueError, match="'language': the keys are the names de, en"):
        memory.write(Embeddings.of(torch.rand(2, 3), language=torch.tensor([code("de"), code("fr")])))
    assert memory.read()["sample"].tolist() == [1, 3, 2]


def made(kind: str) -> Any:
    """A fresh memory of either kind."""
    if kind == "queues":
        return ready(KeyedQueues("key", "group", 4, 3, 3, columns=["number", "sample"]), "group")
    momentum = 0.6 if kind == "momentum" else 0.0
    return ready(Keyed("key", 4, 3, "group", ["number"], momentum, only_filled=kind != "random"), "group")


@pytest.mark.parametrize("kind", ["replaced", "momentum", "random", "queues"])
def test_a_saved_memory_goes_on_bit_for_bit(kind: str) -> None:
    """Save, load into a fresh one, write on: all buffers and rows are those of the run without stopping."""
    tables = batches([[0, 3, 0], [1, 1, 0, 3, 1, 1], [], [2], [0, 3, 3, 1]], column="group")
    straight, first, second = made(kind), made(kind), made(kind)
    for table in tables:
        straight.write(table)
    for table in tables[:2]:
        first.write(table)
    second.load_state_dict(first.state_dict())
    for table in tables[2:]:
        second.write(table)
    assert straight.state_dict().keys() == second.state_dict().keys()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in straight.state_dict().items())
    ours, theirs = straight.read(), second.read()
    assert torch.equal(ours.z, theirs.z)
    assert set(ours.columns) == {"group", "number", "sample", "source"}
    assert all(torch.equal(value, theirs[name]) for name, value in ours.columns.items())


@pytest.mark.parametrize("kind", ["replaced", "momentum", "queues"])
def test_writing_does_not_spoil_a_gradient(kind: str) -> None:
    """What was read stays as it was."""
    memory, query = made(kind), torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
    one, two = batches([[0, 1], [0, 1, 0, 1, 0, 1, 0, 1]], column="group")
    memory.write(one)
    value = (query @ memory.read().z.T).sum()
    memory.write(two)
    value.backward()
    assert query.grad is not None
    torch.testing.assert_close(query.grad[0], normalize(one.z, dim=1).sum(0))


def test_a_bank_may_start_full_of_random_rows() -> None:
    """They are of no key until one is written, which replaces the random row even with momentum."""
    memory = ready(Keyed("key", 4, 3, momentum=0.9, only_filled=False, seed=1))
    start = memory.read()
    assert start["sample"].tolist() == [-1] * 4
    torch.testing.assert_close(start.z.norm(dim=1), torch.ones(4, dtype=torch.float64), rtol=1e-6, atol=0)
    (table,) = batches([[2]])
    memory.write(table)
    found = memory.read()
    assert found["sample"].tolist() == [-1, -1, 2, -1]
    torch.testing.assert_close(found.z[2], normalize(table.z[0], dim=0))
    assert torch.equal(found.z[[0, 1, 3]], start.z[[0, 1, 3]])
    assert not torch.equal(Keyed("key", 4, 3, only_filled=False, seed=2).read().z.double(), start.z)


def test_another_column_may_be_the_key() -> None:
    """Then the sample of the latest row is remembered, or -1."""
    memory = Keyed("key", size=3, dimension=2, column="label")
    label = torch.tensor([2, 0, 2])
    memory.write(Embeddings.of(torch.rand(3, 2), label=label, sample=torch.tensor([7, 8, 9])))
    assert (memory.read()["label"].tolist(), memory.read()["sample"].tolist()) == ([0, 2], [8, 9])
    memory.write(Embeddings.of(torch.rand(1, 2), label=label[1:2]))
    assert memory.read()["sample"].tolist() == [-1, 9]
    assert set(memory.needs) == {"key", "key.label"}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["momentum", "queues"])
def test_a_memory_keeps_its_type_and_moves(kind: str, device: str) -> None:
    """Rows of another type or device are taken into the memory's own; rows carry no gradient."""
    memory = made(kind).float().to(device)
    table = batches([[0, 2, 0]], column="group")[0]
    memory.write(Embeddings({"z": table.z.requires_grad_()}, table.columns))
    found = memory.read()
    assert (found.z.dtype, found.device.type, found.z.requires_grad) == (torch.float32, device, False)
    memory.double().to("cpu").write(table)
    assert memory.read().z.dtype == torch.float64


@pytest.mark.parametrize("memory", [Keyed("key", 3, 2), KeyedQueues("key", "sample", 3, 1, 2)])
def test_a_strange_key_is_named_and_nothing_is_written(memory: Any) -> None:
    """Outside of the range, no integer, no such column, rows of another dimension."""
    z = torch.rand(2, 2)
    for bad, number in ((torch.tensor([0, 3]), 3), (torch.tensor([-1, 1]), -1)):
        with pytest.raises(ValueError, match=f"no place for the key {number} of 'sample': the keys are 0 to 2"):
            memory.write(Embeddings.of(z, sample=bad))
    with pytest.raises(ValueError, match="one integer a row"):
        memory.write(Embeddings.of(z, sample=torch.rand(2)))
    with pytest.raises(ValueError, match="kept by their 'sample', but the table's columns are label"):
        memory.write(Embeddings.of(z, label=torch.arange(2)))
    with pytest.raises(ValueError, match="dimension 2, not a table of shape"):
        memory.write(Embeddings.of(torch.rand(2, 3), sample=torch.arange(2)))
    assert len(memory.read()) == 0


def test_settings_that_do_not_fit_are_refused() -> None:
    """Sizes, momentum, keys."""
    with pytest.raises(ValueError, match="positive size"):
        Keyed("key", 0, 3)
    with pytest.raises(ValueError, match="momentum = 1"):
        Keyed("key", 2, 3, momentum=1)
    with pytest.raises(ValueError, match="positive size"):
        KeyedQueues("key", "language", 2, 0, 3)
    for keys in (0, [], ["en", "en"]):
        with pytest.raises(ValueError, match="at least one key, and no name twice"):
            KeyedQueues("key", "language", keys, 2, 3)  # type: ignore[arg-type]
