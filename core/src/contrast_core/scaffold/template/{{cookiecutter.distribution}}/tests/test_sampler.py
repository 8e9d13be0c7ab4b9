"""NotNear against plain loops."""

from __future__ import annotations

import pytest
import torch
from contrast_core import Embeddings, pairwise

from {{ cookiecutter.__package }}.sampler import NotNear


def two_views(items: int) -> dict[str, Embeddings]:
    """Random rows of two views."""
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(items, 4, generator=generator, dtype=torch.float64) for _ in range(2)]
    sample = torch.arange(items)
    return {"one": Embeddings.of(draw[0], sample=sample), "two": Embeddings.of(draw[1], sample=sample)}


def test_the_nearest_rows_of_other_samples_are_set_aside() -> None:
    """Positives and negatives as 0/1 matrices, pair by pair."""
    tables = two_views(6)
    pairs = NotNear(near=3)(tables)["pairs"]
    z = torch.nn.functional.normalize(torch.cat([tables["one"].z, tables["two"].z]), dim=1)
    _, positives = pairwise.matrix(pairs, pairs.positives)
    _, negatives = pairwise.matrix(pairs, pairs.negatives)
    for i in range(12):
        others = [j for j in range(12) if j % 6 != i % 6]
        by_similarity = sorted(others, key=lambda j: float(z[i] @ z[j]), reverse=True)
        for j in range(12):
            assert bool(positives[i, j]) == (j % 6 == i % 6 and j != i)
            assert bool(negatives[i, j]) == (j in by_similarity[3:])


def test_an_anchor_with_few_others_has_no_negative() -> None:
    """Two items are two rows of another sample, both set aside."""
    pairs = NotNear(near=3)(two_views(2))["pairs"]
    assert pairwise.weight(pairs, pairs.negatives).tolist() == [0, 0, 0, 0]
    assert pairwise.weight(pairs, pairs.positives).tolist() == [1, 1, 1, 1]


def test_bad_options_are_refused() -> None:
    """Each with a sentence that says what would be right."""
    with pytest.raises(ValueError, match="give two views"):
        NotNear(views=["one"])
    with pytest.raises(ValueError, match="core/two-views"):
        NotNear(near=0)
