"""Rehearsal against two loops."""

import pytest
import torch
from contrast_core import Embeddings, pairwise

from contrast_sharp.memory import Reservoirs
from contrast_sharp.sampler import Rehearsal


def flow(remembered: list[int]) -> dict[str, object]:
    """Four anchors and keys, and a memory of the given labels."""
    label, torch_rows = torch.tensor([0, 1, -1, 0]), torch.randn(2, 4, 3, requires_grad=True)
    tables = {
        name: Embeddings.of(z, label=label, sample=torch.arange(4))
        for name, z in zip(("one", "two-teacher"), torch_rows, strict=True)
    }
    memory = Reservoirs("two-teacher", classes=3)
    memory.prepare(tables)
    memory.write(Embeddings.of(torch.randn(len(remembered), 3), label=torch.tensor(remembered, dtype=torch.int64)))
    return {**tables, "reservoirs": memory}


@pytest.mark.parametrize("remembered", [[], [0, 2, 2, 1]])
def test_pairs_are_those_of_two_loops(remembered: list[int]) -> None:
    """Equal labels attract, other labels repel, unknown ones do neither."""
    pairs = Rehearsal()(flow(remembered))["rehearsal"]
    ours, theirs = pairs.anchors["label"].tolist(), pairs.candidates["label"].tolist()
    assert theirs == [0, 1, -1, 0, *sorted(remembered)]
    positive = torch.tensor([[a == c != -1 for c in theirs] for a in ours])
    negative = torch.tensor([[a != c and -1 not in (a, c) for c in theirs] for a in ours])
    assert torch.equal(pairwise.matrix(pairs, pairs.positives)[1].bool(), positive)
    assert torch.equal(pairwise.matrix(pairs, pairs.negatives)[1].bool(), negative)
    assert pairs.anchors.z.requires_grad
    assert not pairs.candidates.z.requires_grad


def test_three_names() -> None:
    """Anchors cannot be their own keys."""
    with pytest.raises(ValueError, match="three names"):
        Rehearsal(anchors="one", keys="one")
