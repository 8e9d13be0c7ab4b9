"""The queue: order of writing, wrapping, what is remembered, and continuing from a saved state."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.memories.fifo import Queue


def batch(first: int, count: int) -> Embeddings:
    """Rows whose only entry is their sample's number."""
    number = torch.arange(first, first + count)
    return Embeddings.of(number[:, None].double(), sample=number)


def queue(size: int, **options: object) -> Queue:
    """A queue of plain numbers in float64."""
    return Queue("key", size=size, dimension=1, normalise=False, **options).double()  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.lists(st.integers(0, 17), max_size=6))
def test_it_is_as_if_rows_came_one_by_one(size: int, counts: list[int]) -> None:
    """Batches of any length, wrapping or longer than the queue, against single rows and a plain list."""
    whole, single, history = queue(size), queue(size), 0
    for count in counts:
        rows = batch(history, count)
        whole.write(rows)
        for r in range(count):
            single.write(rows.select(torch.tensor([r])))
        history += count
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, single.state_dict()[name])
    latest = list(range(history))[-size:]
    found = whole.read()
    assert sorted(found["sample"].tolist()) == latest
    assert sorted(found.z.flatten().tolist()) == latest
    assert int(whole.pointer) == history % size
    assert int(whole.filled) == min(history, size)


def test_a_batch_wraps_where_lightly_would_cut_it_off() -> None:
    """Five places, batches of three: the sixth row goes to place 0 and nothing is lost."""
    memory = queue(5)
    memory.write(batch(0, 3))
    memory.write(batch(3, 3))
    assert memory.read()["sample"].tolist() == [5, 1, 2, 3, 4]
    assert int(memory.pointer) == 1


def test_rows_are_scaled_and_carry_no_gradient() -> None:
    """Unit rows of the buffer's type; the source names the queue."""
    memory = Queue("key", size=4, dimension=3)
    memory.write(Embeddings.of(torch.randn(2, 3, dtype=torch.float64, requires_grad=True)))
    found = memory.read()
    torch.testing.assert_close(found.z.norm(dim=1), torch.ones(2))
    assert found.z.dtype == torch.float32
    assert not found.z.requires_grad
    assert found["sample"].tolist() == [-1, -1]
    assert "source" in found


def test_writing_does_not_spoil_a_gradient() -> None:
    """What was read stays as it was, even when rows are written before backward."""
    memory, query = queue(2), torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    memory.write(batch(1, 2))
    value = (query @ memory.read().z.T).sum()
    memory.write(batch(5, 2))
    value.backward()
    assert query.grad is not None
    assert query.grad.item() == 3.0


def test_a_queue_may_start_full_of_random_rows() -> None:
    """Unit rows that belong to no sample, the same for the same seed."""

    def start(seed: int) -> Tensor:
        found = Queue("key", size=6, dimension=3, only_filled=False, seed=seed).read()
        assert found["sample"].tolist() == [-1] * 6
        torch.testing.assert_close(found.z.norm(dim=1), torch.ones(6))
        return found.z

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))
    assert len(Queue("key", size=6, dimension=3).read()) == 0


def test_a_saved_queue_goes_on_bit_for_bit() -> None:
    """Save, load into a fresh one, write on: the same as without stopping."""
    generator = torch.Generator().manual_seed(0)
    batches = [Embeddings.of(torch.randn(3, 4, generator=generator), sample=torch.arange(3) + 3 * k) for k in range(5)]
    straight, first, second = (Queue("key", size=7, dimension=4) for _ in range(3))
    for rows in batches:
        straight.write(rows)
    for rows in batches[:2]:
        first.write(rows)
    second.load_state_dict(first.state_dict())
    for rows in batches[2:]:
        second.write(rows)
    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
    assert set(straight.state_dict()) == {"rows", "sample", "pointer", "filled"}


def test_further_columns_are_remembered() -> None:
    """In the shape and type of the first batch; a random initial row has none, -1 or 0."""
    memory = Queue("key", size=4, dimension=2, columns=["label", "scores"], only_filled=False)
    assert set(memory.needs) == {"key", "key.label", "key.scores"}

    def table(first: int) -> Embeddings:
        number = torch.arange(first, first + 3)
        return Embeddings.of(torch.rand(3, 2), label=number, scores=number[:, None] * torch.tensor([1.0, 0.5]))

    with pytest.raises(ValueError, match=r"no room for the column 'label' yet: call prepare\(flow\)"):
        memory.write(table(0))
    memory.prepare({"key": table(0)})
    memory.write(table(0))
    assert memory.read()["label"].tolist() == [0, 1, 2, -1]
    memory.write(table(3))
    found = memory.read()
    assert found["label"].tolist() == [4, 5, 2, 3]
    assert found["scores"].tolist() == [[4, 2], [5, 2.5], [2, 1], [3, 1.5]]
    assert found["sample"].tolist() == [-1] * 4
    second = Queue("key", size=4, dimension=2, columns=["label", "scores"], only_filled=False)
    second.prepare({"key": table(0)})
    second.load_state_dict(memory.state_dict())
    assert all(torch.equal(value, second.read()[name]) for name, value in found.columns.items())


def test_columns_that_do_not_fit_are_refused() -> None:
    """What the memory gives itself, a column that the table lacks, one of another shape; nothing is written."""
    with pytest.raises(ValueError, match="gives 'source' itself"):
        Queue("key", size=2, dimension=1, columns=["source"])
    memory = Queue("key", size=2, dimension=1, columns=["label"])
    with pytest.raises(ValueError, match="'key' needs its column 'label'; the table's columns: sample"):
        memory.prepare({"key": batch(0, 2)})
    memory.prepare({"key": batch(0, 2).with_columns(label=1)})
    with pytest.raises(ValueError, match=r"remembers 'label' with entries of shape \(\), not \(2,\)"):
        memory.write(batch(0, 2).with_columns(label=torch.ones(2, 2)))
    assert int(memory.filled) == 0


def test_what_does_not_fit_is_refused() -> None:
    """Sizes that are not positive, a moment that does not exist, and rows of another dimension."""
    with pytest.raises(ValueError, match="positive size"):
        Queue("key", size=0, dimension=3)
    with pytest.raises(ValueError, match="before-pairs"):
        Queue("key", size=2, dimension=3, when="sometimes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dimension 3"):
        Queue("key", size=2, dimension=3).write(Embeddings.of(torch.rand(2, 4)))
