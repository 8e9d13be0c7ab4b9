"""Reservoirs against algorithm R, row by row."""

import pytest
import torch
from contrast_core import Embeddings

from contrast_sharp.memory import Reservoirs


def table(labels: list[int], first: int = 0) -> Embeddings:
    """Rows whose embedding is their number."""
    number = torch.arange(first, first + len(labels))
    return Embeddings.of(number[:, None].float(), label=torch.tensor(labels), sample=number)


def memory(size: int = 4, seed: int = 3) -> Reservoirs:
    """Three classes, rows of one number."""
    made = Reservoirs("one", classes=3, size=size, seed=seed)
    made.prepare({"one": table([0])})
    return made


def stream(batches: int) -> list[Embeddings]:
    """Batches of ten rows, most of class 0, some without a label."""
    generator = torch.Generator().manual_seed(5)
    drawn = torch.tensor([-1, 0, 0, 0, 0, 1, 2])[torch.randint(7, (batches, 10), generator=generator)].tolist()
    return [table(labels, 10 * number) for number, labels in enumerate(drawn)]


def test_it_is_algorithm_r() -> None:
    """Lists instead of buffers, and one row at a time."""
    ours, generator = memory(), torch.Generator().manual_seed(3)
    kept: dict[int, list[int]] = {0: [], 1: [], 2: []}
    seen = dict.fromkeys(kept, 0)
    for batch in stream(12):
        ours.write(batch)
        for row in range(10):
            u = torch.rand((), dtype=torch.float64, generator=generator).item()
            label, number = int(batch["label"][row]), int(batch["sample"][row])
            if label == -1:
                continue
            seen[label] += 1
            if len(kept[label]) < 4:
                kept[label].append(number)
            elif u * seen[label] < 4:
                kept[label][int(u * seen[label])] = number
    found = ours.read()
    assert min(seen.values()) > 4
    assert found["sample"].tolist() == kept[0] + kept[1] + kept[2]
    assert found.z.squeeze(1).tolist() == found["sample"].tolist()
    assert found["label"].tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_each_row_is_kept_equally_often() -> None:
    """Of 12 rows in batches of 6, 3 are kept: each with probability 1/4."""
    counts = torch.zeros(12)
    for seed in range(1200):
        ours = memory(size=3, seed=seed)
        for first in (0, 6):
            ours.write(table([1] * 6, first))
        counts[ours.read()["sample"]] += 1
    assert counts.sum() == 3 * 1200
    assert ((counts / 1200 - 0.25).abs() < 0.06).all()


def test_another_object_goes_on_with_the_same_choices() -> None:
    """All that matters is in the state."""
    ours, theirs = memory(), memory(seed=9)
    batches = stream(8)
    for batch in batches[:4]:
        ours.write(batch)
    theirs.load_state_dict(ours.state_dict())
    for batch in batches[4:]:
        ours.write(batch)
        theirs.write(batch)
    assert torch.equal(ours.read().z, theirs.read().z)


def test_global_numbers_are_left_alone() -> None:
    """Writing draws from the memory's own generator."""
    before = torch.get_rng_state()
    memory().write(table([0] * 10))
    assert torch.equal(before, torch.get_rng_state())


def test_empty_and_without_samples() -> None:
    """No rows but all columns; a table without samples is remembered as -1."""
    ours = memory()
    found = ours.read()
    assert (len(found), found.z.shape[1], set(found.columns)) == (0, 1, {"label", "sample", "source"})
    ours.write(Embeddings.of(torch.ones(2, 1, requires_grad=True), label=torch.tensor([2, -1])))
    found = ours.read()
    assert (found["sample"].tolist(), found["label"].tolist(), found.z.requires_grad) == ([-1], [2], False)


def test_what_does_not_fit_is_refused_whole() -> None:
    """Nothing is written then."""
    ours = memory()
    for wrong in (table([0, 3]), table([0, -2]), Embeddings.of(torch.ones(1, 2), label=torch.tensor([0]))):
        with pytest.raises(ValueError, match="must be from -1 to 2|do not fit"):
            ours.write(wrong)
    assert len(ours.read()) == 0
    for setting in ({"classes": 0}, {"classes": 2, "size": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            Reservoirs("one", **setting)
