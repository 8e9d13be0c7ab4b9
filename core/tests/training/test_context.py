"""What a training step measures of its own pairs."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_core.pairs import Pairs
from contrast_core.relations import dense, same
from contrast_core.training.context import alignment_of


def test_alignment_is_the_mean_squared_distance_of_positives() -> None:
    """A plain loop over anchors that have positives; the others are left out."""
    generator = torch.Generator().manual_seed(0)
    anchors = Embeddings.of(torch.randn(5, 3, generator=generator), sample=torch.tensor([0, 1, 2, 3, 9]))
    candidates = Embeddings.of(torch.randn(8, 3, generator=generator), sample=torch.arange(8) % 4)
    pairs = Pairs(anchors, candidates, same("sample"), ~same("sample"))
    a, c = normalize(anchors.z, dim=1), normalize(candidates.z, dim=1)
    means = [((a[i] - c[[i, i + 4]]) ** 2).sum(1).mean() for i in range(4)]
    found = alignment_of(Outputs({}, {"pairs": pairs}, {}))
    assert found == pytest.approx(float(torch.stack(means).mean()), rel=1e-5)


def test_no_alignment_without_positives_or_pairs() -> None:
    """There is nothing to measure, and nothing fails."""
    rows = Embeddings.of(torch.ones(2, 3), sample=torch.arange(2))
    nothing = dense(torch.zeros(2, 2, dtype=torch.bool))
    assert alignment_of(Outputs({}, {"pairs": Pairs(rows, rows, nothing, nothing)}, {})) is None
    assert alignment_of(Outputs({}, {}, {})) is None
    tokens = Embeddings({"z": torch.ones(2, 4, 3)}, {"sample": torch.arange(2)})
    assert alignment_of(Outputs({}, {"pairs": Pairs(tokens, tokens, same("sample"), nothing)}, {})) is None
